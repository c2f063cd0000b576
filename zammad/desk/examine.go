package desk

import (
	"context"
	"errors"
	"slices"
	"strings"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// Examine tries out a region's connection to its Zammad, as far as that goes
// without changing anything: reachable, token, rights in the group, and the
// second token where erasures need it. It stops at the first fault that makes
// the rest meaningless. The context bounds how long it takes.
func (d *Desk) Examine(ctx context.Context, r *bridge.Region) []bridge.Finding {
	url := r.Settings.ZammadURL
	if url == "" || r.ZammadToken == "" {
		return []bridge.Finding{bridge.Found("no_zammad", nil)}
	}
	site, err := d.site(r)
	if err != nil {
		return []bridge.Finding{bridge.Found("bad_address", err)}
	}
	me, err := site.Users.Me(ctx)
	if err != nil {
		return []bridge.Finding{bridge.Found(faultOf(err), err, url)}
	}
	found := []bridge.Finding{bridge.Found("answers", nil, url, clip(string(me.Login))), site.group(ctx, me, r.Settings.ZammadGroup)}
	if r.Settings.Erasure != bridge.EraseDelete {
		return found
	}
	second, err := d.siteFor(r, r.PrivacyToken)
	if err == nil {
		_, err = second.Erasures.List(ctx)
	}
	if err != nil {
		return append(found, bridge.Found("privacy_refused", err))
	}
	return append(found, bridge.Found("privacy", nil))
}

// faultOf names what is wrong with a Zammad that does not answer as it should.
func faultOf(err error) string {
	switch {
	case errors.Is(err, zammad.ErrNotAuthorized):
		return "token_refused"
	case errors.Is(err, zammad.ErrForbidden):
		return "token_forbidden"
	case errors.Is(err, zammad.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return "unreachable"
	default:
		return "no_such_zammad"
	}
}

// group examines what the bridge's user may do in the region's group.
func (s *site) group(ctx context.Context, me zammad.User, group string) bridge.Finding {
	missing := missingRights(me.Groups[group])
	if len(missing) == 0 {
		return bridge.Found("rights", nil, group)
	}
	// Whether the group exists at all only a user who may list groups can say.
	if groups, err := s.Groups.List(ctx); err == nil {
		at := slices.IndexFunc(groups, func(g zammad.Group) bool { return g.Name == group })
		switch {
		case at < 0:
			return bridge.Found("group_unknown", nil, group)
		case !groups[at].Active:
			return bridge.Found("group_off", nil, group)
		}
	}
	return bridge.Found("rights_missing", nil, group, strings.Join(missing, ", "))
}

// missingRights lists what the bridge needs and the user lacks. "full" holds
// all; create is for new tickets, change for messages and reopening.
func missingRights(has []string) []string {
	if slices.Contains(has, "full") {
		return nil
	}
	var missing []string
	for _, right := range []string{"read", "create", "change"} {
		if !slices.Contains(has, right) {
			missing = append(missing, right)
		}
	}
	return missing
}
