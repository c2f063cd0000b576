package main

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"deskbridge/bridge"
)

// historyLength is how many messages a polled chat has.
const historyLength = 50

// chatPath is where the device of a client polls.
func chatPath(client int) string {
	return fmt.Sprintf("/api/v3/%s/%s/chat/device-%d/", slug, language, client)
}

// fill gives the device of each client a chat of some length, half of it by the
// agent.
func (s *stack) fill(ctx context.Context, messages int) error {
	now := time.Now()
	for client := range clients {
		device := s.hasher.Hash("device-" + strconv.Itoa(client))
		var answers []bridge.Article
		for n := range messages / 2 {
			sub := bridge.Submission{
				Region: s.region, Device: device, Language: language, UUID: bridge.MessageUUID(uuid.NewString()), Text: text,
				ClientKey: uuid.NewString(), Admit: func(bridge.Standing) bool { return true }, Alias: uuid.NewString()[:16], Now: now,
			}
			if _, err := s.store.Accept(ctx, sub); err != nil {
				return err
			}
			answers = append(answers, bridge.Article{
				ID: bridge.ArticleID(1 + client*messages + n), Ticket: bridge.TicketID(client + 1), Public: true, Name: "Cora Counselor",
				HTML: "<div>" + text + "</div>", Text: text, CreatedAt: now.Add(-time.Hour), // nobody is typing
			})
		}
		history, err := s.store.History(ctx, s.region, device, 0, now)
		if err != nil {
			return err
		}
		if _, err := s.store.Record(ctx, bridge.Receipt{Chat: history.Chat.ID, Articles: answers, Now: now}); err != nil {
			return err
		}
	}
	return nil
}

// get asks a handler without a socket, to prepare and to compare.
func get(handler http.Handler, path string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	return answer
}

// pollUnchanged measures the poll without news, which is most of the traffic.
func pollUnchanged(ctx context.Context, p *places) (contest, error) {
	s, err := newStack(ctx, "sqlite:"+p.sqlite())
	if err != nil {
		return contest{}, err
	}
	if err := s.fill(ctx, historyLength); err != nil {
		return contest{}, err
	}
	var requests [clients][]byte
	tag := get(s.handler, chatPath(0)).Header().Get("ETag")
	for client := range clients {
		if own := get(s.handler, chatPath(client)).Header().Get("ETag"); own != tag || tag == "" {
			return contest{}, fmt.Errorf("the tag of device %d is %q, not %q", client, own, tag)
		}
		requests[client] = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: bench\r\nIf-None-Match: %s\r\n\r\n", chatPath(client), tag)
	}
	s.reads.Store(0)
	request := func(client, _ int) []byte { return requests[client] }
	return contest{
		name: "poll-304", want: 0.8, status: http.StatusNotModified,
		ours: side{s.handler, request},
		bare: side{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") != tag {
				failBare(w, errors.New("another tag"))
				return
			}
			w.Header().Set("ETag", tag)
			w.WriteHeader(http.StatusNotModified)
		}), request},
		note:  func() string { return fmt.Sprintf("%d of all these polls read the database", s.reads.Load()) },
		close: s.close,
	}, nil
}

// pollHistorySQLite measures the poll that brings a whole history.
func pollHistorySQLite(ctx context.Context, p *places) (contest, error) {
	path := p.sqlite()
	s, err := newStack(ctx, "sqlite:"+path)
	if err != nil {
		return contest{}, err
	}
	b, err := openBareReader(ctx, path, selectHistoryChat, selectHistory)
	if err != nil {
		return contest{}, err
	}
	return pollHistory(ctx, "poll-50-sqlite", s, b)
}

// pollHistoryMySQL measures the same on a server.
func pollHistoryMySQL(ctx context.Context, p *places) (contest, error) {
	address, err := p.database()
	if err != nil {
		return contest{}, err
	}
	s, err := newStack(ctx, address)
	if err != nil {
		return contest{}, err
	}
	b, err := openBareMySQLReader(ctx, address, selectHistoryChat, selectHistory)
	if err != nil {
		return contest{}, err
	}
	return pollHistory(ctx, "poll-50-mysql", s, b)
}

func pollHistory(ctx context.Context, name string, s *stack, b *bare) (contest, error) {
	if err := s.fill(ctx, historyLength); err != nil {
		return contest{}, err
	}
	hashes := make(map[string]bridge.DeviceHash)
	var requests [clients][]byte
	for client := range clients {
		path := chatPath(client)
		hashes[path] = s.hasher.Hash("device-" + strconv.Itoa(client))
		requests[client] = []byte("GET " + path + " HTTP/1.1\r\nHost: bench\r\n\r\n")
	}
	plain := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.history(w, r, hashes[r.URL.Path]) })
	if one, two := get(s.handler, chatPath(3)).Body.Bytes(), get(plain, chatPath(3)).Body.Bytes(); !bytes.Equal(one, two) || bytes.Count(one, []byte(`"id":`)) != historyLength {
		return contest{}, fmt.Errorf("the answers differ:\n%s\n%s", one, two)
	}
	request := func(client, _ int) []byte { return requests[client] }
	return contest{
		name: name, want: 0.7, status: http.StatusOK,
		ours: side{s.handler, request}, bare: side{plain, request},
		close: func() error { return errors.Join(s.close(), b.close()) },
	}, nil
}

const (
	selectHistoryChat = "SELECT c.consent, c.last_message_at, c.ticket_state, d.id, d.seq, d.read_seq FROM devices d JOIN chats c ON c.id = d.current_chat_id WHERE d.region_id = ? AND d.device_hash = ?"
	selectHistory     = "SELECT m.id, m.seq, m.author, m.html, m.text, m.automatic, m.status, m.fail_code, m.client_key, m.created_at, m.retracted" +
		" FROM messages m WHERE m.device_id = ? AND m.retracted = 0"
)

// document is the answer with its keys in the same order.
type document struct {
	Messages          []line `json:"messages"`
	EvaluationConsent bool   `json:"evaluation_consent"`
	ChatbotTyping     bool   `json:"chatbot_typing"`
	TicketURL         string `json:"ticket_url"`
	Seq               int64  `json:"seq"`
	Chat              struct {
		State  string `json:"state"`
		Notice string `json:"notice"`
		Away   string `json:"away"`
		Typing bool   `json:"typing"`
	} `json:"chat"`
	Read int64 `json:"read"`
}

type line struct {
	ID              int64    `json:"id"`
	CreatedAt       string   `json:"created_at"`
	Role            string   `json:"role"`
	UserIsAuthor    bool     `json:"user_is_author"`
	AutomaticAnswer bool     `json:"automatic_answer"`
	Content         string   `json:"content"`
	Seq             int64    `json:"seq"`
	Text            string   `json:"text"`
	Author          string   `json:"author"`
	Status          string   `json:"status"`
	Attachments     []string `json:"attachments"`
	ClientID        string   `json:"client_id,omitempty"`
	Error           string   `json:"error,omitempty"`
	Retracted       bool     `json:"retracted,omitempty"`
}

// history is the bare handler: it reads the rows and encodes them.
func (b *bare) history(w http.ResponseWriter, r *http.Request, device bridge.DeviceHash) {
	var (
		out     document
		consent sql.Null[bool]
		last    int64
		id      int64
		state   string
	)
	ctx := r.Context()
	if err := b.prepared[selectHistoryChat].QueryRowContext(ctx, 1, device[:]).Scan(&consent, &last, &state, &id, &out.Seq, &out.Read); err != nil {
		failBare(w, err)
		return
	}
	out.EvaluationConsent = consent.V
	if out.Chat.State = "open"; state == "closed" {
		out.Chat.State = state
	}
	rows, err := b.prepared[selectHistory].QueryContext(ctx, id)
	if err != nil {
		failBare(w, err)
		return
	}
	defer rows.Close()
	for rows.Next() {
		l := line{Role: "agent", Attachments: []string{}}
		var key sql.NullString
		var created int64
		if err := rows.Scan(&l.ID, &l.Seq, &l.Author, &l.Content, &l.Text, &l.AutomaticAnswer, &l.Status, &l.Error, &key, &created, &l.Retracted); err != nil {
			failBare(w, err)
			return
		}
		if l.Author == "user" {
			l.Role, l.UserIsAuthor = "user", true
		}
		l.ClientID, l.CreatedAt = key.String, time.UnixMilli(created).UTC().Format("2006-01-02T15:04:05.000Z")
		out.Messages = append(out.Messages, l)
	}
	if err := rows.Err(); err != nil {
		failBare(w, err)
		return
	}
	slices.SortFunc(out.Messages, func(a, b line) int { return cmp.Compare(a.ID, b.ID) })
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(&out); err != nil {
		failBare(w, err)
		return
	}
	answerBare(w, body.Bytes())
}

// openBareMySQLReader opens a database whose rows are read without locks.
func openBareMySQLReader(ctx context.Context, rawURL string, queries ...string) (*bare, error) {
	b, err := openBareMySQL(ctx, rawURL)
	if err != nil {
		return nil, err
	}
	b.lock = ""
	return b, b.prepare(ctx, queries)
}
