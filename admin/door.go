// Package admin is the console under /admin/: pages by which operators and the
// staff of regions run their chat. Pages are made on the server and work without
// scripts; htmx only makes some of them quicker.
//
// How a page is made, from the outside in:
//
//   - A route stands in the list of its file (such as homeRoutes) with the right
//     that it needs. The frame checks session, right, region and origin before
//     the handler is called; a handler that needs no right says staff.Anybody.
//     A path with :region is about that region: Request.Region is set, and
//     whoever may not read it gets 404, as for a region that does not exist.
//   - The handler reads its form with Request.Form, asks the heart or the store,
//     and ends with Show (a page), Fragment (a part of one, for htmx) or Done
//     (303, after a change; the page then says texts "done.<key>"). An error that
//     it returns becomes a page in plain words.
//   - templates/<page>.html defines the block "content", and its title is the text
//     "<page>.title". The data of the handler is .Data; see Page for the rest.
//   - texts/<page>.yaml has every sentence in German and English. Templates call t
//     with a key and arguments, handlers Request.T. Keys begin with the file's name.
//   - nav.go lists what the navigation shows to those who may go there.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/author"
	"deskbridge/bridge"
	"deskbridge/server"
	"deskbridge/staff"
)

// Deps are what the console needs.
type Deps struct {
	Regions  *bridge.Regions
	Accounts *staff.Accounts
	Sessions *Sessions
	Hasher   bridge.Hasher // of device ids that are typed in
	Gate     GateStore
	Alerts   AlertDeps
	Provider *Provider // nil: people sign in with passwords only
	Origin   string    // address of the console without /admin/, for links
	SignIns  SignIns
	// SecondFactor says who gets to nothing else before having one.
	SecondFactor staff.FactorDuty
	Team         *author.Chat // the staff's own chat
	TeamSockets  *author.Sockets

	Store  RegionStore
	Tokens TokenStore
	Rules  bridge.RegionRules
	// Examine tries out a region's Zammad.
	Examine   func(context.Context, *bridge.Region) []bridge.Finding
	PublicURL string // at which devices and Zammad reach this installation; empty: not known

	Statistics bridge.StatisticsStore
	Experiment bridge.ExperimentStore
	Chats      bridge.ChatListStore
	Audit      bridge.AuditStore
	Closer     *bridge.Closer
	Eraser     *bridge.Eraser
	TicketURL  func(*bridge.Region, bridge.TicketID) string
	// DeskSilent says since when a region's Zammad has not answered (zero: it
	// does), and whether it was called at all since the process runs.
	DeskSilent func(*bridge.Region) (since time.Time, called bool)

	Log *slog.Logger
	Now func() time.Time
	Work
}

// Door answers the console's requests.
type Door struct {
	Deps
	views      *views
	protection *http.CrossOriginProtection
}

// route is one address of the console.
type route struct {
	method, path string
	need         staff.Right
	handle       func(*Request) error
}

// New puts the console together. The error says which template, text or file is
// wrong.
func New(deps Deps) (*Door, error) {
	views, err := newViews()
	if err != nil {
		return nil, err
	}
	return &Door{Deps: deps, views: views, protection: http.NewCrossOriginProtection()}, nil
}

// routes is every address of the console, but those of its files.
func (d *Door) routes() []route {
	return slices.Concat(
		d.homeRoutes(),
		gatePages{d}.routes(),
		testerPages{d}.routes(),
		regionsDoor{d}.routes(),
		settingsDoor{d}.routes(),
		tokensDoor{d}.routes(),
		entrance{d}.routes(),
		self{d}.routes(),
		people{d}.routes(),
		team{d}.routes(),
		alerts{d}.routes(),
		numbers{d}.routes(),
		chatList{d}.routes(),
		letterPages{d}.routes(), deliveryPages{d}.routes(), jobPages{d}.routes(), auditPages{d}.routes(),
	)
}

// Lost answers for paths of the console that do not exist, or do not take the
// method of the request, which is what the error says.
func (d *Door) Lost(c *gin.Context, err error) {
	d.enter(route{need: staff.Anybody, handle: func(*Request) error { return err }})(c)
}

// Routes mounts the console.
func (d *Door) Routes(r gin.IRouter) {
	r.GET(staticPath+":file", server.H(d.views.serveFile))
	for _, route := range d.routes() {
		d.views.knows(route)
		r.Handle(route.method, route.path, d.enter(route))
	}
}

// Errors that become pages.
var (
	errNotFound  = errors.New("there is no such page")
	errUnseen    = fmt.Errorf("%w: the region is none of this account", errNotFound) // whether it exists is nobody's business
	errForbidden = errors.New("this needs another right")
	errForeign   = fmt.Errorf("%w: the request came from a page of another origin", errForbidden)
	errNoFactor  = errors.New("this needs a second factor, which the account must have")
)

// enter lets in who may, and makes pages of errors.
func (d *Door) enter(route route) gin.HandlerFunc {
	return func(c *gin.Context) {
		secure(c.Writer.Header())
		r := &Request{Context: c, door: d}
		err := d.admit(r, route)
		d.tellRefused(r, route, err)
		if err == nil {
			err = route.handle(r)
		}
		if err != nil {
			r.fail(err)
		}
	}
}

// tellRefused writes to the log whose request was refused for lack of a right: what
// somebody tries, and is told nothing of, is seen there. The path may name what is
// nobody's business; the route does not.
func (d *Door) tellRefused(r *Request, route route, err error) {
	if !errors.Is(err, errForbidden) && !errors.Is(err, errNotFound) {
		return
	}
	var id staff.ID // 0: nobody is signed in, or was looked at
	if r.Person != nil {
		id = r.Person.ID
	}
	d.Log.InfoContext(r.Request.Context(), "a request was refused", "staff", id, "method", r.Request.Method, "route", route.path, "reason", err)
}

// secure sets the headers that hold for every page (OWASP ASVS 14.4).
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Add("Vary", "Cookie")
	// Web apps of other origins may read the device API, and nothing of this.
	h.Del("Access-Control-Allow-Origin")
	h.Del("Access-Control-Expose-Headers")
}

// admit finds out who is there and whether they may.
func (d *Door) admit(r *Request, route route) error {
	r.Language = r.accepted()
	if err := d.protection.Check(r.Request); err != nil {
		return errForeign
	}
	if err := d.Sessions.load(r, d.Accounts); err != nil {
		return err
	}
	if route.need == staff.Anybody {
		return nil
	}
	if r.Person == nil {
		return errSignedOut
	}
	ctx := bridge.WithActor(r.Request.Context(), r.Person.Actor())
	r.Request = r.Request.WithContext(ctx)
	if r.FactorMissing() && !strings.HasPrefix(route.path, factorPath) {
		return errNoFactor
	}
	var id bridge.RegionID
	if slug, ok := r.Params.Get("region"); ok {
		region, found := d.Regions.BySlug(slug)
		if !found || !r.Person.May(staff.Read, region.ID) {
			return errUnseen
		}
		r.Region, id = region, region.ID
	}
	if !r.Person.May(route.need, id) {
		return errForbidden
	}
	return nil
}
