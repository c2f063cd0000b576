package admin

import (
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// chatList is the part of the door for chats.
type chatList struct{ *Door }

func (d chatList) routes() []route {
	const chats = "/admin/regions/:region/chats/"
	return []route{
		{http.MethodGet, chats, staff.Read, d.chats},
		{http.MethodPost, chats, staff.Read, d.chatsOfDevice},
		{http.MethodGet, chats + ":chat/close/", staff.Change, d.askToClose},
		{http.MethodPost, chats + ":chat/close/", staff.Change, d.closeChat},
		{http.MethodGet, chats + ":chat/erase/", staff.Change, d.askToErase},
		{http.MethodPost, chats + ":chat/erase/", staff.Change, d.eraseChat},
	}
}

// chatsAtOnce is how many chats a page lists.
const chatsAtOnce = 50

var chatFilters = []bridge.ChatFilter{bridge.ChatsAll, bridge.ChatsWaiting, bridge.ChatsInTrouble}

// chatPage is a page of the list.
type chatPage struct {
	Filter  bridge.ChatFilter
	Filters []bridge.ChatFilter
	Rows    template.HTML // of the table; empty: there are none
	Next    string        // where the list goes on; empty: it ends
	Device  bool          // these are one device's
	Error   string        // about what was typed
}

// chats lists a region's chats, never what was said.
func (d chatList) chats(r *Request) error {
	list := chatPage{Filter: bridge.ChatFilter(r.Query("filter")), Filters: chatFilters}
	if !slices.Contains(chatFilters, list.Filter) {
		list.Filter = bridge.ChatsAll
	}
	query := bridge.ChatQuery{Region: r.Region.ID, Filter: list.Filter, After: chatKey(r.Query("after")), Limit: chatsAtOnce + 1, Now: d.Now()}
	entries, err := d.Chats.ChatEntries(r.Request.Context(), query)
	if err != nil {
		return err
	}
	if len(entries) > chatsAtOnce {
		entries = entries[:chatsAtOnce]
		key := entries[chatsAtOnce-1].Key
		list.Next = "?" + url.Values{"filter": {string(list.Filter)}, "after": {fmt.Sprintf("%d.%d", key.At.UnixMilli(), key.ID)}}.Encode()
	}
	list.Rows = d.rows(r, entries)
	return r.Show("chats", list)
}

// chatKey reads where a page begins; what makes no sense is the beginning.
func chatKey(text string) bridge.ChatKey {
	at, id, _ := strings.Cut(text, ".")
	ms, errAt := strconv.ParseInt(at, 10, 64)
	chat, errID := strconv.ParseInt(id, 10, 64)
	if errAt != nil || errID != nil || ms <= 0 || chat <= 0 {
		return bridge.ChatKey{}
	}
	return bridge.ChatKey{At: time.UnixMilli(ms), ID: bridge.ChatID(chat)}
}

// rows shows chats, each as a row of the table.
func (d chatList) rows(r *Request, entries []bridge.ChatEntry) template.HTML {
	states := map[bridge.TicketState]string{
		bridge.TicketNone: r.T("chats.no_ticket"), bridge.TicketOpen: r.T("chats.open"), bridge.TicketClosed: r.T("chats.closed"), bridge.TicketMerged: r.T("chats.merged"),
	}
	return rows(entries, func(e *bridge.ChatEntry) template.HTML {
		return markup(`<tr><th scope="row">%v</th><td>%s%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td>%s</tr>`,
			e.ID, states[e.TicketState], d.waiting(r, e), e.Language, r.clock(e.OpenedAt), r.clock(e.LastMessageAt), d.trouble(r, e), d.ticket(r, e), actions(r, e))
	})
}

func (d chatList) waiting(r *Request, e *bridge.ChatEntry) template.HTML {
	if e.WaitingSince.IsZero() {
		return ""
	}
	return markup(`<br><strong class="warn">%s</strong>`, r.T("chats.waiting", span(r, d.Now().Sub(e.WaitingSince))))
}

// trouble says what keeps messages from Zammad.
func (d chatList) trouble(r *Request, e *bridge.ChatEntry) (all template.HTML) {
	if !e.QueuedSince.IsZero() {
		all = markup(`<span class="warn">%s</span> `, r.T("chats.queued", span(r, d.Now().Sub(e.QueuedSince))))
	}
	switch {
	case e.Failed > 0 && e.FailCode == bridge.FailAttachment:
		all += markup(`<span class="bad">%s</span>`, r.T("chats.failed_files", e.Failed))
	case e.Failed > 0:
		all += markup(`<span class="bad">%s</span>`, r.T("chats.failed", e.Failed))
	}
	return all
}

func (d chatList) ticket(r *Request, e *bridge.ChatEntry) template.HTML {
	if e.Ticket == 0 {
		return ""
	}
	return markup(`<a href="%s" rel="noreferrer">%s</a>`, d.TicketURL(r.Region, e.Ticket), r.T("chats.in_zammad", fmt.Sprint(e.Ticket)))
}

// actions is the cell of what can be done with a chat, for those who may.
func actions(r *Request, e *bridge.ChatEntry) template.HTML {
	if !r.May(staff.Change) {
		return ""
	}
	var list template.HTML
	base, name := r.Path(fmt.Sprintf("chats/%d/", e.ID)), r.T("chats.number", fmt.Sprint(e.ID))
	const link = `<a href="%s%s/">%s<span class="visually-hidden"> %s</span></a>`
	if e.TicketState != bridge.TicketClosed {
		list = markup(link, base, "close", r.T("chats.close"), name) + " "
	}
	return markup(`<td>%s</td>`, list+markup(link, base, "erase", r.T("chats.erase"), name))
}

// chatsOfDevice finds the chats of a device whose id somebody typed in. It comes
// by POST, so that the id is in no address and no log.
func (d chatList) chatsOfDevice(r *Request) error {
	form, err := r.Form()
	if err != nil {
		return err
	}
	list := chatPage{Filters: chatFilters, Device: true}
	id := strings.TrimSpace(form.Get("device"))
	if bridge.CheckDeviceID(id) != nil {
		list.Error = r.T("chats.device_wrong")
		return r.ShowStatus(http.StatusUnprocessableEntity, "chats", list)
	}
	hash := d.Hasher.Hash(id)
	entries, err := d.Chats.ChatEntries(r.Request.Context(), bridge.ChatQuery{Region: r.Region.ID, Device: &hash, Limit: chatsAtOnce, Now: d.Now()})
	if err != nil {
		return err
	}
	list.Rows = d.rows(r, entries)
	return r.Show("chats", list)
}

// chatAction is a page that asks once more, or says what came of it.
type chatAction struct {
	Chat    bridge.ChatID
	URL     string // of its ticket; empty: none
	Closed  bool
	Problem string // why it could not be done
	Receipt string // of an erasure that was done; shown this once
}

// chatOf finds the chat of a path.
func (d chatList) chatOf(r *Request) (chatAction, error) {
	id, err := strconv.ParseInt(r.Param("chat"), 10, 64)
	if err != nil {
		return chatAction{}, errNotFound
	}
	chat, err := d.Chats.Chat(r.Request.Context(), r.Region.ID, bridge.ChatID(id))
	if errors.Is(err, bridge.ErrChatNotFound) {
		return chatAction{}, errNotFound
	}
	a := chatAction{Chat: chat.ID, Closed: chat.TicketState == bridge.TicketClosed}
	if err == nil && chat.Ticket != 0 {
		a.URL = d.TicketURL(r.Region, chat.Ticket)
	}
	return a, err
}

func (d chatList) askToClose(r *Request) error {
	a, err := d.chatOf(r)
	if err != nil {
		return err
	}
	return r.Show("chat_close", a)
}

// closeChat closes a chat's ticket.
func (d chatList) closeChat(r *Request) error {
	a, err := d.chatOf(r)
	if err != nil {
		return err
	}
	err = d.Closer.Close(r.Request.Context(), r.Region, a.Chat)
	var desk *bridge.DeskError
	switch {
	case err == nil:
		return r.Done(r.Path("chats/"), "closed")
	case errors.Is(err, bridge.ErrChatNotFound):
		return errNotFound
	case errors.Is(err, bridge.ErrTicketRead):
		a.Problem = r.T("chat_close.merged")
		return r.ShowStatus(http.StatusConflict, "chat_close", a)
	case errors.Is(err, bridge.ErrNoTicket):
		a.Problem = r.T("chat_close.queued")
		return r.ShowStatus(http.StatusConflict, "chat_close", a)
	case errors.As(err, &desk):
		switch desk.Kind {
		case bridge.DeskGone, bridge.DeskHidden:
			a.Problem = r.T("chat_close.gone")
		case bridge.DeskRefused, bridge.DeskMasked, bridge.DeskDenied:
			a.Problem = r.T("chat_close.refused")
		default:
			a.Problem = r.T("chat_close.away")
		}
		return r.ShowStatus(http.StatusBadGateway, "chat_close", a)
	}
	return err
}

func (d chatList) askToErase(r *Request) error {
	a, err := d.chatOf(r)
	if err != nil {
		return err
	}
	return r.Show("chat_erase", a)
}

// eraseChat erases the device of a chat, on its user's request. The receipt is
// shown once; here it is known by its hash only.
func (d chatList) eraseChat(r *Request) error {
	a, err := d.chatOf(r)
	if err != nil {
		return err
	}
	receipt := rand.Text()
	if err := d.Eraser.EraseChat(r.Request.Context(), r.Region, a.Chat, receipt); err != nil {
		if errors.Is(err, bridge.ErrChatNotFound) {
			return errNotFound
		}
		return err
	}
	a.Receipt = receipt
	return r.Show("chat_erase", a)
}
