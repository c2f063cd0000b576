package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"deskbridge/bridge"
)

// examineFor bounds how long a Zammad is tried out.
const examineFor = 20 * time.Second

// foundLine is a finding in the words of the page.
type foundLine struct {
	OK             bool
	Sentence, Mend string
}

// testZammad tries out the connection as it is stored. The cause of a fault is
// not shown: it may name what stands in the inner network.
func (d settingsDoor) testZammad(r *Request) error {
	region, err := d.Store.Region(r.Request.Context(), r.Region.ID)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Request.Context(), examineFor)
	defer cancel()
	var lines []foundLine
	for _, f := range d.Examine(ctx, region) {
		found, mend := "settings.found."+f.Code, "settings.mend."+f.Code
		line := foundLine{OK: f.OK, Sentence: r.T(found, f.Args...)}
		if !f.OK {
			line.Mend = r.T(mend)
		}
		lines = append(lines, line)
	}
	return r.Show("settings_test", struct{ Lines []foundLine }{lines})
}

// newWebhookSecret makes the key with which Zammad signs its webhooks, and shows
// it once: it must be typed into Zammad.
func (d settingsDoor) newWebhookSecret(r *Request) error {
	if sure, err := d.sure(r); !sure || err != nil {
		return err
	}
	secret := rand.Text() + rand.Text()
	err := d.alter(r, func(next *bridge.Region) { next.WebhookSecret = bridge.Secret(secret) })
	if err != nil {
		return err
	}
	return r.Show("settings_secret", struct{ Secret string }{secret})
}

// dropWebhookToken ends the older form of webhooks, which has no signature.
func (d settingsDoor) dropWebhookToken(r *Request) error {
	if sure, err := d.sure(r); !sure || err != nil {
		return err
	}
	if err := d.alter(r, func(next *bridge.Region) { next.WebhookToken = "" }); err != nil {
		return err
	}
	return r.Done(r.Path("settings/zammad/"), "saved")
}

// sure says whether a change of how Zammad's webhooks are proven was wanted: what
// Zammad sends in the old way is refused from then on. If not, it has asked. A
// region that knows no way yet loses none.
func (d settingsDoor) sure(r *Request) (bool, error) {
	form, err := r.Form()
	if err != nil {
		return false, err
	}
	now, err := d.Store.Region(r.Request.Context(), r.Region.ID)
	if err != nil || form.Get("sure") == "yes" || now.WebhookSecret == "" && now.WebhookToken == "" {
		return err == nil, err
	}
	for _, s := range d.sections() {
		if s.key == "zammad" {
			p := d.page(r, s, now)
			p.Errors = []string{r.T("settings.secret_sure")}
			return false, r.ShowStatus(http.StatusUnprocessableEntity, "settings_section", p)
		}
	}
	return false, errNotFound
}

// alter changes one thing of the request's region, whatever else is changed
// meanwhile: nobody has typed what they saw before.
func (d settingsDoor) alter(r *Request, change func(*bridge.Region)) error {
	ctx := r.Request.Context()
	for {
		now, err := d.Store.Region(ctx, r.Region.ID)
		if err != nil {
			return err
		}
		next := *now
		change(&next)
		if err := d.Store.SaveRegion(ctx, &next); errors.Is(err, bridge.ErrRegionChanged) && ctx.Err() == nil {
			continue
		} else if err != nil {
			return err
		}
		return d.Regions.Reload(ctx)
	}
}

// shownText is what the app shows in a language.
type shownText struct{ Language, Code, Away, Closed, Reopened, Role string }

// shownTexts are the texts of a region as they arrive: its own, or the built-in
// ones.
func shownTexts(region *bridge.Region) []shownText {
	rules := region.Settings.Reception
	named := rules
	named.Names = "role"
	var all []shownText
	for _, l := range region.Settings.Languages {
		all = append(all, shownText{
			Language: l.NativeName, Code: l.Code, Away: rules.AwayText(l.Code), Closed: rules.ClosedText(l.Code),
			Reopened: rules.ReopenedText(l.Code), Role: named.Shown("", l.Code),
		})
	}
	return all
}
