package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/author"
	"deskbridge/bridge"
	"deskbridge/server"
	"deskbridge/staff"
)

const teamPath = "/admin/team/"

// team is the staff's own chat.
type team struct{ *Door }

func (d team) routes() []route {
	const path = teamPath + "rooms/:room/"
	return []route{
		{http.MethodGet, teamPath, staff.SignedIn, d.lists},
		{http.MethodPost, teamPath + "threads/", staff.SignedIn, d.openThread},
		{http.MethodGet, teamPath + "socket/", staff.SignedIn, d.socket},
		{http.MethodGet, path, staff.SignedIn, d.room},
		{http.MethodPost, path, staff.SignedIn, d.send},
		{http.MethodPost, path + "read/", staff.SignedIn, d.read},
		{http.MethodGet, path + "messages/:message/delete/", staff.SignedIn, d.askDelete},
		{http.MethodPost, path + "messages/:message/delete/", staff.SignedIn, d.erase},
	}
}

// colleaguesPage is how many people a page of the list has.
const colleaguesPage = 50

// teamRow is a room in a list.
type teamRow struct {
	author.View
	Name string
}

// lists shows rooms, threads, and the people with whom there is none yet.
func (d team) lists(r *Request) error {
	ctx := r.Request.Context()
	views, err := r.teamRooms()
	if err != nil {
		return err
	}
	people, err := d.Team.Colleagues(ctx, r.Person)
	if err != nil {
		return err
	}
	var data struct {
		Rooms, Threads []teamRow
		People         []author.Colleague
		Page, Next     int // Next: 0 where there is none
		Zone           *time.Location
	}
	data.Zone = d.zone(r, nil)
	for _, v := range views {
		row := teamRow{v, d.roomName(r, &v)}
		if v.Kind == author.KindThread {
			data.Threads = append(data.Threads, row)
		} else {
			data.Rooms = append(data.Rooms, row)
		}
		people = slices.DeleteFunc(people, func(c author.Colleague) bool { return v.Kind == author.KindThread && c.ID == v.Other.ID })
	}
	data.Page, _ = strconv.Atoi(r.Query("page"))
	data.Page = max(0, min(data.Page, len(people)/colleaguesPage))
	if data.People = people[data.Page*colleaguesPage:]; len(data.People) > colleaguesPage {
		data.People, data.Next = data.People[:colleaguesPage], data.Page+1
	}
	return r.Show("team", data)
}

// openThread leads to the thread with a person.
func (d team) openThread(r *Request) error {
	form, err := r.Form()
	if err != nil {
		return err
	}
	id, err := strconv.ParseInt(form.Get("person"), 10, 64)
	if err != nil {
		return author.ErrPersonNotFound
	}
	room, err := d.Team.OpenThread(r.Request.Context(), r.Person, staff.ID(id))
	if err != nil {
		return err
	}
	return r.Done(roomPath(room), "")
}

func roomPath(id author.RoomID) string {
	return teamPath + "rooms/" + strconv.FormatInt(int64(id), 10) + "/"
}

// roomName is what a room is called where its person reads it.
func (d team) roomName(r *Request, v *author.View) string {
	switch {
	case v.Kind == author.KindAll:
		return r.T("team.all")
	case v.Kind == author.KindThread:
		return v.Other.Name
	}
	for _, region := range d.Regions.All() {
		if region.ID == v.Region {
			return region.Name
		}
	}
	return ""
}

// zone is the time zone of a room: its region's, else that of the person's
// first region.
func (d team) zone(r *Request, v *author.View) *time.Location {
	for _, region := range r.Person.Sees(d.Regions.All()) {
		if v == nil || v.Region == 0 || v.Region == region.ID {
			return region.Settings.Reception.Zone.Location()
		}
	}
	return time.UTC
}

// numbered reads a number of the path. The error is a page that says that there
// is nothing here.
func (d team) numbered(r *Request, name string) (int64, error) {
	id, err := strconv.ParseInt(r.Param(name), 10, 64)
	if err != nil || id < 1 {
		return 0, errNotFound
	}
	return id, nil
}

// enterRoom gives the room of the path as the person sees it.
func (d team) enterRoom(r *Request) (author.View, error) {
	id, err := d.numbered(r, "room")
	if err != nil {
		return author.View{}, err
	}
	views, err := r.teamRooms()
	if err != nil {
		return author.View{}, err
	}
	i := slices.IndexFunc(views, func(v author.View) bool { return v.ID == author.RoomID(id) })
	if i < 0 {
		return author.View{}, errNotFound // whether there is one is nobody's business
	}
	return views[i], nil
}

// roomPage is what the page of a room shows.
type roomPage struct {
	teamRow
	Messages    template.HTML // the oldest first; empty: there are none
	Older       bridge.Seq    // where the page before begins; 0: nowhere
	Back        bool          // this is not the newest page
	Zone        *time.Location
	Key         string // idempotency key of what is written next
	Text, Error string
}

// room shows the messages of a room, the newest at the bottom.
func (d team) room(r *Request) error {
	v, err := d.enterRoom(r)
	if err != nil {
		return err
	}
	return d.showRoom(r, v, http.StatusOK, roomPage{Key: rand.Text()})
}

func (d team) showRoom(r *Request, v author.View, status int, page roomPage) error {
	ctx := r.Request.Context()
	before, err := strconv.ParseInt(r.DefaultQuery("before", "0"), 10, 64)
	if err != nil || before < 0 {
		return errNotFound
	}
	messages, more, err := d.Team.History(ctx, r.Person, v.ID, bridge.Seq(before))
	if err != nil {
		return err
	}
	page.teamRow, page.Zone, page.Back = teamRow{v, d.roomName(r, &v)}, d.zone(r, &v), before > 0
	if more {
		page.Older = messages[len(messages)-1].Seq
	}
	slices.Reverse(messages)
	page.Messages = rows(messages, func(m *author.Message) template.HTML { return said(r, &page, m) })
	// What the page shows is read. A script that comes late says it again for
	// what came since; the number is that of the room as it was read first.
	if !page.Back && v.Seq > v.Read {
		if err := d.Team.MarkRead(ctx, r.Person, v.ID, v.Seq); err != nil {
			return err
		}
		for i := range r.rooms {
			if r.rooms[i].ID == v.ID {
				r.rooms[i].Unread = 0 // for the badge
			}
		}
	}
	return r.ShowStatus(status, "teamroom", page)
}

// said shows a message of a room as team.js does too.
func said(r *Request, page *roomPage, m *author.Message) template.HTML {
	wire := author.WireMessage(&page.Room, r.Person, m)
	own, name, act := template.HTML(""), markup(`<bdi>%s</bdi>`, wire.Author), template.HTML("")
	if wire.Own {
		own, name = " own", markup(`%s`, r.T("teamroom.you"))
	}
	if wire.Deletable && !page.ReadOnly() {
		act = markup(`<p class="act"><a href="/admin/team/rooms/%d/messages/%d/delete/" aria-describedby="words-%d">%s</a></p>`, int(page.ID), int(m.ID), int(m.ID), r.T("teamroom.delete"))
	}
	return markup(`<article class="message%s" data-id="%d" data-seq="%d"><p class="meta"><strong>%s</strong> %s</p><p class="words" dir="auto" id="words-%d">%s</p>%s</article>`,
		own, int(m.ID), int(m.Seq), name, clock(r.Language, m.CreatedAt, page.Zone), int(m.ID), author.HTML(m.Text), act)
}

// send writes a message: for a form it leads back to the room, a script gets
// the message.
func (d team) send(r *Request) error {
	v, err := d.enterRoom(r)
	if err != nil {
		return err
	}
	form, err := r.Form()
	if err != nil {
		return err
	}
	m, err := d.Team.Send(r.Request.Context(), r.Person, v.ID, form.Get("text"), form.Get("key"))
	script := strings.Contains(r.GetHeader("Accept"), "application/json")
	switch {
	case err == nil && script:
		r.JSON(http.StatusOK, gin.H{"message": author.WireMessage(&v.Room, r.Person, &m)})
		return nil
	case err == nil:
		return r.Done(roomPath(v.ID)+"#end", "")
	}
	why := d.unsent(r, err)
	if why == "" {
		return err
	}
	status := server.Resolve(err).Status
	if script {
		r.JSON(status, gin.H{"error": why})
		return nil
	}
	return d.showRoom(r, v, status, roomPage{Key: rand.Text(), Text: form.Get("text"), Error: why})
}

// unsent says why a message was not taken, in the words of the page; empty for
// what is not the writer's to mend.
func (d team) unsent(r *Request, err error) string {
	switch {
	case errors.Is(err, bridge.ErrMessageEmpty):
		return r.T("teamroom.empty")
	case errors.Is(err, bridge.ErrMessageTooLong):
		return r.T("teamroom.long", author.MaxText)
	case errors.Is(err, bridge.ErrMessageText):
		return r.T("teamroom.strange")
	case errors.Is(err, bridge.ErrRateLimited):
		r.Header("Retry-After", "1") // a minute has more writes than seconds
		return r.T("teamroom.fast")
	case errors.Is(err, author.ErrReadOnly):
		return r.T("teamroom.closed")
	case errors.Is(err, bridge.ErrKeyReused):
		return r.T("teamroom.again")
	default:
		return ""
	}
}

// read moves the person's mark; only scripts call it.
func (d team) read(r *Request) error {
	v, err := d.enterRoom(r)
	if err != nil {
		return err
	}
	form, err := r.Form()
	if err != nil {
		return err
	}
	seq, err := strconv.ParseInt(form.Get("seq"), 10, 64)
	if err != nil || seq < 0 {
		return bridge.ErrBody
	}
	if err := d.Team.MarkRead(r.Request.Context(), r.Person, v.ID, bridge.Seq(seq)); err != nil {
		return err
	}
	r.Status(http.StatusNoContent)
	return nil
}

// deletion is what the question before a deletion shows.
type deletion struct {
	Room    author.RoomID
	Message author.Wire
	HTML    template.HTML // of the message
	Zone    *time.Location
}

// askDelete asks whether a message is to go.
func (d team) askDelete(r *Request) error {
	v, err := d.enterRoom(r)
	if err != nil {
		return err
	}
	id, err := d.numbered(r, "message")
	if err != nil {
		return err
	}
	m, err := d.Team.Message(r.Request.Context(), r.Person, v.ID, author.MessageID(id))
	if errors.Is(err, author.ErrMessageNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	wire := author.WireMessage(&v.Room, r.Person, &m)
	if !wire.Deletable || v.ReadOnly() {
		return errForbidden
	}
	return r.Show("teamdelete", deletion{v.ID, wire, author.HTML(m.Text), d.zone(r, &v)})
}

// erase deletes a message.
func (d team) erase(r *Request) error {
	v, err := d.enterRoom(r)
	if err != nil {
		return err
	}
	id, err := d.numbered(r, "message")
	if err != nil {
		return err
	}
	err = d.Team.Delete(r.Request.Context(), r.Person, v.ID, author.MessageID(id))
	switch {
	case errors.Is(err, author.ErrNotYours):
		return errForbidden
	case errors.Is(err, author.ErrMessageNotFound):
		return errNotFound
	case err != nil:
		return err
	}
	return r.Done(roomPath(v.ID), "deleted")
}

// socket tells a window of what happens in the person's rooms.
func (d team) socket(r *Request) error {
	still := func(ctx context.Context) (*staff.Person, error) { return d.Sessions.still(ctx, r.Request, d.Accounts) }
	server.H(func(c *gin.Context) error { return d.TeamSockets.Serve(c, r.Person, still) })(r.Context)
	return nil
}

// stillTimeout bounds the question whether somebody is still signed in.
// Failure policy: it is asked again, and nothing is told meanwhile.
const stillTimeout = 10 * time.Second

// still says who is signed in with a request's cookie now, long after the
// request; nil: nobody any more. It keeps no session from idling out.
func (s *Sessions) still(ctx context.Context, request *http.Request, accounts *staff.Accounts) (*staff.Person, error) {
	m := s.of(request)
	cookie, err := request.Cookie(m.Cookie.Name)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // nobody
	}
	// Without the values of ctx: among them is the session as it was.
	fresh, cancel := context.WithTimeout(context.Background(), stillTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if fresh, err = m.Load(fresh, cookie.Value); err != nil {
		return nil, fmt.Errorf("load session: %w", err)
	}
	account, err := accounts.Session(fresh, staff.ID(m.GetInt64(fresh, keyPerson)), m.GetInt64(fresh, keyEpoch))
	switch {
	case errors.Is(err, staff.ErrOver):
		return nil, nil //nolint:nilnil // nobody
	case err != nil:
		return nil, fmt.Errorf("find the person of a session: %w", err)
	}
	return &account.Person, nil
}
