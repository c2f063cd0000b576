// Package device is the door at which apps knock: the public chat API of
// Integreat and what goes beyond it. Its wire types end here; behind the door
// there are only the words of the heart.
//
// Nobody signs in: the device id in the path is the only secret, unless the
// region or the device itself wants more (identity.go). It is checked, hashed and
// forgotten in the first lines of every request.
package device

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
	"deskbridge/gate"
	"deskbridge/server"
)

// Chats is what the door asks of the heart.
type Chats interface {
	Send(ctx context.Context, r *bridge.Region, s bridge.Sending) (bridge.Accepted, error)
	History(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, since bridge.Seq) (bridge.History, error)
	Decide(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, language, appVersion string) (gate.Decision, error)
	Running(ctx context.Context, r *bridge.Region, d bridge.DeviceHash) (bool, error)
	MarkRead(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, seq bridge.Seq) error
	Typing(ctx context.Context, r *bridge.Region, d bridge.DeviceHash) error
	Token(ctx context.Context, r *bridge.Region, d bridge.DeviceHash) (bridge.TokenHash, bridge.Seq, error)
}

// Regions is what the door must know of regions. Both calls are answered from
// memory, and the regions are read-only.
type Regions interface {
	BySlug(slug string) (*bridge.Region, bool)
	All() []*bridge.Region
}

// Watermarks knows how far a device's history is, so that a poll without news
// asks no database. Learn is told what was just read there.
type Watermarks interface {
	Seq(r bridge.RegionID, d bridge.DeviceHash) (bridge.Seq, bool)
	Learn(c bridge.Change)
	// Watch tells of changes of a device until stop; see realtime.
	Watch(r bridge.RegionID, d bridge.DeviceHash) (news <-chan struct{}, stop func())
}

// Deps is what the door works with. What says nothing of nil is required.
type Deps struct {
	Chats      Chats
	Regions    Regions
	Watermarks Watermarks
	Hasher     bridge.Hasher
	// TicketURL is the address at which agents see a ticket. It is asked only
	// for regions that reveal it.
	TicketURL func(r *bridge.Region, id bridge.TicketID) string
	// Streams keeps what lasts: event streams, sockets, polls that wait.
	Streams Streams
	// Limits of writing; the zero value has none.
	Limits Limits
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Files hands out attachments.
	Files Files
	// Uploads bound what devices send; the zero value takes no files.
	Uploads Uploads
	// Rights are the user's own: erasure and export.
	Rights Rights
	// Identities is asked only for regions that want signed tokens.
	Identities Identities
	// TokenKey makes receipts, chat tokens and stream tickets.
	TokenKey []byte
}

// Door serves the device API.
type Door struct {
	Deps
	buffers sync.Pool // of *bytes.Buffer, for answers
	tokens  *tokens
	seal    seal
	pace    pace
	readers *server.Readers
	spooled atomic.Int64 // bytes of all uploads that are being taken
}

// New makes a door.
func New(deps Deps) *Door {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	d := &Door{Deps: deps, seal: deps.TokenKey, pace: pace{beat: beatEvery, patience: patience, again: lookAgain}, readers: server.NewReaders()}
	d.tokens = &tokens{seal: d.seal, store: d.Chats, marks: d.Watermarks}
	d.buffers.New = func() any { return new(bytes.Buffer) }
	return d
}

// headerAppVersion is how an app tells its version; apps that don't are not
// restricted by the gate's minimum version.
const headerAppVersion = "X-App-Version"

// Routes mounts the door. Every path ends with a slash; without it the answer
// is the 404 of any other unknown path, since a redirect would put the device
// id into one more header and one more log.
//
// Gin wants one name for a parameter at one place, so :x is the region, and :y
// is the language or, before is_chat_enabled, the device. An empty device
// ("chat//") reaches the same route with an empty parameter.
//
// What takes files is mounted on uploads, whose bodies may be as large as
// Uploads says (Uploads.Largest).
func (d *Door) Routes(r, uploads gin.IRouter) {
	for _, chat := range []string{"/api/v3/:x/:y/chat/:device/", "/:x/:y/wp-json/extensions/v3/chat/:device/"} {
		d.get(r, chat, d.read)
		uploads.POST(chat, server.H(d.send))
	}
	r.POST("/api/v3/:x/:y/chat/:device/read/", server.H(d.markRead))
	r.POST("/api/v3/:x/:y/chat/:device/typing/", server.H(d.hearTyping))
	rights := rightsDoor{d}
	r.DELETE("/api/v3/:x/:y/chat/:device/", server.H(rights.erase))
	d.get(r, "/api/v3/:x/:y/chat/:device/export/", rights.export)
	d.get(r, "/api/v3/:x/erasures/:receipt/", rights.erasure)
	r.POST("/api/v3/:x/:y/chat/:device/stream-ticket/", server.H(d.issueTicket))
	d.get(r, "/api/v3/:x/:y/chat/:device/events/", d.events)
	d.get(r, "/api/v3/:x/:y/chat/:device/socket/", d.socket)
	d.get(r, "/api/v3/:x/:y/chat/:device/attachments/:id/", d.attachment)
	about := regionsDoor{d}
	d.get(r, "/api/v3/:x/is_chat_enabled/", about.regionEnabled)
	d.get(r, "/api/v3/:x/:y/is_chat_enabled/", about.deviceEnabled)
	d.get(r, "/api/v3/regions/", about.regionList)
	d.get(r, "/api/v3/regions/:region/", about.regionDocument)
	d.get(r, "/wp-json/extensions/v3/sites/", about.regionList)
}

// get mounts a read for GET and HEAD; net/http leaves the body of HEAD away.
func (d *Door) get(r gin.IRouter, path string, handle func(*gin.Context) error) {
	r.Match([]string{http.MethodGet, http.MethodHead}, path, server.H(handle))
}

// caller is who asks, where, and in which language.
type caller struct {
	region   *bridge.Region
	language string
	device   bridge.DeviceHash
	token    bridge.TokenHash // of the device's chat token; zero: none
	until    time.Time        // the caller's signed token counts; zero: none was asked for
}

// caller reads the path of a chat call, and lets it pass if it proves what
// region and device want.
//
// Errors: those of address and admit.
func (d *Door) caller(c *gin.Context) (caller, error) {
	who, err := d.address(c)
	if err == nil {
		err = d.admit(c, &who)
	}
	return who, err
}

// address reads the path of a chat call. A region that is switched off answers
// before anything else of the path is looked at.
//
// Errors: ErrRegionNotFound, ErrRegionOff, ErrLanguageNotFound, ErrDeviceID.
func (d *Door) address(c *gin.Context) (caller, error) {
	if region, known := d.Regions.BySlug(c.Param("x")); known && !region.Served() {
		return caller{}, bridge.ErrRegionOff
	}
	return named(c, d.Regions, d.Hasher)
}

// named reads whom a path names.
func named(c *gin.Context, regions Regions, hasher bridge.Hasher) (caller, error) {
	region, known := regions.BySlug(c.Param("x"))
	if !known {
		return caller{}, bridge.ErrRegionNotFound
	}
	language := c.Param("y")
	if !region.HasLanguage(language) {
		return caller{}, bridge.ErrLanguageNotFound
	}
	id := c.Param("device")
	if err := bridge.CheckDeviceID(id); err != nil {
		return caller{}, err
	}
	return caller{region: region, language: language, device: hasher.Hash(id)}, nil
}
