// Package settings is the door at which other systems knock to read and change
// the settings of regions: a city's CRM that switches the chat on, or writes the
// opening hours. They come with an API token, may set an allow-list of fields and
// nothing of Zammad's connection, and are told when somebody was there before them.
package settings

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
	"deskbridge/server"
	"deskbridge/staff"
)

// Store is what the door asks of the store.
type Store interface {
	// UseAPIToken finds a living token and notes that it was used; else
	// bridge.ErrAPIToken.
	UseAPIToken(ctx context.Context, hash staff.TokenHash, now time.Time) (staff.APIToken, error)
	Region(ctx context.Context, id bridge.RegionID) (*bridge.Region, error)
	SaveRegion(ctx context.Context, r *bridge.Region) error
}

// Regions is what the door must know of regions. Reload makes this process obey
// a change at once.
type Regions interface {
	BySlug(slug string) (*bridge.Region, bool)
	All() []*bridge.Region
	Reload(ctx context.Context) error
}

// Deps is what the door works with; all of it is required.
type Deps struct {
	Store   Store
	Regions Regions
	Rules   bridge.RegionRules
	Now     func() time.Time
}

// Door serves the settings API.
type Door struct{ Deps }

// New makes a door.
func New(deps Deps) *Door { return &Door{deps} }

// Routes mounts the door, where the limits of writing and reading hold.
func (d *Door) Routes(r gin.IRouter) {
	reads := []string{http.MethodGet, http.MethodHead}
	r.Match(reads, "/api/v3/settings/regions/", server.H(d.list))
	r.Match(reads, "/api/v3/settings/regions/:region/", server.H(d.read))
	r.PATCH("/api/v3/settings/regions/:region/", server.H(d.change))
}

// token finds out who knocks. The errors are bridge.ErrAPIToken, bridge.ErrScope
// and the store's.
func (d *Door) token(c *gin.Context, scope staff.Scope) (staff.APIToken, error) {
	kind, secret, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	hash, could := staff.HashToken(strings.TrimSpace(secret))
	if !strings.EqualFold(kind, "Bearer") || !could {
		return staff.APIToken{}, unauthorized(c, bridge.ErrAPIToken)
	}
	token, err := d.Store.UseAPIToken(c.Request.Context(), hash, d.Now())
	if err != nil {
		return staff.APIToken{}, unauthorized(c, err)
	}
	c.Request = c.Request.WithContext(bridge.WithActor(c.Request.Context(), token.Actor()))
	if !token.May(scope) {
		return staff.APIToken{}, bridge.ErrScope
	}
	return token, nil
}

// unauthorized says which kind of authorization is wanted (RFC 9110, 11.6.1).
func unauthorized(c *gin.Context, err error) error {
	if errors.Is(err, bridge.ErrAPIToken) {
		c.Header("WWW-Authenticate", "Bearer")
	}
	return err
}

// region reads the region of the path as it is stored now. One that the token is
// not for does not exist for it.
func (d *Door) region(c *gin.Context, token *staff.APIToken) (*bridge.Region, error) {
	known, ok := d.Regions.BySlug(c.Param("region"))
	if !ok || !token.Knows(known.ID) {
		return nil, bridge.ErrRegionNotFound
	}
	return d.Store.Region(c.Request.Context(), known.ID)
}

// list answers with all regions that the token is for.
func (d *Door) list(c *gin.Context) error {
	token, err := d.token(c, staff.ReadRegions)
	if err != nil {
		return err
	}
	all := []map[string]any{}
	for _, r := range d.Regions.All() {
		if token.Knows(r.ID) {
			all = append(all, document(r))
		}
	}
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusOK, all)
	return nil
}

// read answers with one region.
func (d *Door) read(c *gin.Context) error {
	token, err := d.token(c, staff.ReadRegions)
	if err != nil {
		return err
	}
	r, err := d.region(c, &token)
	if err != nil {
		return err
	}
	return answer(c, r)
}

// change applies a merge patch to one region: all of it, or nothing.
//
// A patch that changes nothing is answered as done whatever If-Match says: a
// client whose answer was lost sends it again with the tag from before (RFC
// 9110, 13.1.1 allows it).
func (d *Door) change(c *gin.Context) error {
	token, err := d.token(c, staff.WriteRegions)
	if err != nil {
		return err
	}
	r, err := d.region(c, &token)
	if err != nil {
		return err
	}
	tags := ifMatch(c.Request.Header.Values("If-Match"))
	if len(tags) == 0 {
		return bridge.ErrNoIfMatch
	}
	patch, err := readPatch(c)
	if err != nil {
		return err
	}
	next := *r
	if err := d.apply(&next, patch, token.Name); err != nil {
		return err
	}
	next.Settings = next.Settings.Settled(d.Now()) // as the store keeps it
	changes, err := bridge.Changes(r, &next)
	switch {
	case err != nil:
		return err
	case len(changes) == 0:
		return answer(c, r)
	case !slices.Contains(tags, tagOf(r)):
		c.Header("ETag", tagOf(r))
		return bridge.ErrIfMatch
	}
	errs, err := d.Rules.CheckChange(r, &next)
	if err != nil {
		return err
	}
	if len(errs) > 0 {
		return errs
	}
	ctx := c.Request.Context()
	if err := d.Store.SaveRegion(ctx, &next); errors.Is(err, bridge.ErrRegionChanged) {
		return d.overtaken(c, r.ID)
	} else if err != nil {
		return err
	}
	if err := d.Regions.Reload(ctx); err != nil {
		return err
	}
	return answer(c, &next)
}

// overtaken answers whom another save came before.
func (d *Door) overtaken(c *gin.Context, id bridge.RegionID) error {
	now, err := d.Store.Region(c.Request.Context(), id)
	if err != nil {
		return err
	}
	c.Header("ETag", tagOf(now))
	return bridge.ErrIfMatch
}

// readPatch reads the body: a JSON object.
func readPatch(c *gin.Context) (patch, error) {
	switch c.ContentType() {
	case "application/merge-patch+json", "application/json":
	default:
		return nil, bridge.ErrPatchType
	}
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return nil, errors.Join(bridge.ErrBody, err)
	}
	return parsePatch(body)
}

// answer writes a region with its tag.
func answer(c *gin.Context, r *bridge.Region) error {
	c.Header("Cache-Control", "no-store")
	c.Header("ETag", tagOf(r))
	c.JSON(http.StatusOK, document(r))
	return nil
}

// tagOf names the state of a region.
func tagOf(r *bridge.Region) string { return `"` + strconv.FormatInt(r.Version, 10) + `"` }

// ifMatch gives the tags of If-Match. "*" is none: who says it has not read what
// is changed.
func ifMatch(headers []string) []string {
	var tags []string
	for _, header := range headers {
		for tag := range strings.SplitSeq(header, ",") {
			if tag = strings.TrimSpace(tag); tag != "" && tag != "*" {
				tags = append(tags, tag)
			}
		}
	}
	return tags
}
