// Package simulator is a Zammad 6.1 for tests, for the demo and for app developers: the REST
// calls a chat bridge uses, triggers, signed webhooks on Zammad's retry schedule and a small
// desk page on which a person acts as the agent. What it answers is held step by step against
// recordings of a real one (see TestRecordingsReplay). It keeps everything in memory. A
// switchboard (Fault) makes requests and webhooks fail in the ways of a real network, and
// State tells what truly happened.
//
// Requests are answered one at a time, each as one transaction: what is refused leaves
// nothing behind but used-up ids. Not simulated: scheduler jobs (stored, never run), mail,
// picture previews, time accounting, and the spurious deliveries that a real Zammad may send
// after refused updates (contract 00.6).
package simulator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"deskbridge/zammad/simulator/deskpage"
)

// Config says how a simulated Zammad behaves. The zero value works.
type Config struct {
	// Clock drives time stamps, webhook pauses and timeouts; nil is the wall clock.
	Clock Clock
	// Logger receives ids and states, never texts; nil discards.
	Logger *slog.Logger
	// Transport sends the webhooks; nil is a plain one that obeys each webhook's ssl_verify.
	// Zammad's timeouts (4 s to connect with the default one, 30 s for the answer) apply to
	// any transport.
	Transport http.RoundTripper
	// QueueLatency is how long a delivery waits for the background worker. A real idle
	// worker looks every 4 s, so 0 to 4 s are true to life; the default is 0.
	QueueLatency time.Duration
	// SchedulerInterval is how often data privacy tasks are worked off, counted from New;
	// 0 means Zammad's 10 minutes.
	SchedulerInterval time.Duration
	// FQDN and HTTPType fill the settings of these names, from which absolute attachment
	// URLs are built; the defaults are zammad.example.org and https.
	FQDN, HTTPType string
	// AdminLogin (default admin@example.org) and AdminPassword open the administrator's
	// account by basic auth; an empty password leaves only AdminToken.
	AdminLogin, AdminPassword string
	// AdminToken, if set, is a token of the administrator with the permissions admin and
	// ticket.agent.
	AdminToken string
}

// Simulator is one simulated Zammad. Make it with New.
type Simulator struct {
	*database
	clock     Clock
	log       *slog.Logger
	transport http.RoundTripper
	latency   time.Duration
	started   time.Time
	interval  time.Duration
	runs      int // how often the scheduler ran

	faults *switchboard
	wake   chan struct{}

	mu         sync.Mutex // guards the database and what follows
	queue      []*delivery
	deliveries []*delivery // all webhooks ever caused, in their order
	lastActor  int         // who made the last request with good credentials
}

// New returns a Zammad with the data of a new system: the administrator (user 3), the roles
// Admin, Agent and Customer, the group Users, states, priorities, the seeded triggers and the
// welcome ticket.
func New(cfg Config) *Simulator {
	if cfg.Clock == nil {
		cfg.Clock = realClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.AdminLogin == "" {
		cfg.AdminLogin = "admin@example.org"
	}
	if cfg.SchedulerInterval <= 0 {
		cfg.SchedulerInterval = 10 * time.Minute
	}
	now := cfg.Clock.Now()
	return &Simulator{
		database: newDatabase(cfg, now), clock: cfg.Clock, log: cfg.Logger, transport: cfg.Transport,
		latency: cfg.QueueLatency, started: now, interval: cfg.SchedulerInterval, lastActor: 1,
		wake: make(chan struct{}, 1), faults: newSwitchboard(),
	}
}

// Handler serves the API under /api/v1, the desk page under /desk/ and the switchboard for
// faults under /simulator/.
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range routes() {
		mux.HandleFunc(rt.pattern, s.serve(rt))
	}
	switches(s, mux)
	mux.Handle("/desk/", deskpage.Handler("/desk/"))
	mux.Handle("GET /{$}", http.RedirectHandler("/desk/", http.StatusFound))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c := &call{Simulator: s, r: r}
		c.fail(w, notFound("No route matches ["+r.Method+"] "+r.URL.Path))
	})
	return faulty(s, mux)
}

// Run delivers webhooks until ctx ends; it then returns nil. One worker, one delivery at a
// time, as Zammad does by default (contract 4.3). At its end, requests that faults hold are
// let go, so that a server can stop.
func (s *Simulator) Run(ctx context.Context) error {
	s.faults.start()
	defer s.faults.stop()
	s.work(ctx)
	return nil
}

// Pending returns how many background jobs wait or run: webhooks, repeats included, the counts
// of customers' tickets, and requests that a fault delays or commits late. At 0 everything
// that was caused so far has been done and delivered.
func (s *Simulator) Pending() int {
	owed := s.faults.debt() // first: what it becomes may be in the queue then
	s.mu.Lock()
	defer s.mu.Unlock()
	return owed + len(s.queue)
}

// route is one call of the API: who may make it and what answers.
type route struct {
	pattern string
	handle  func(*call) (any, error)
	needs   []string // one of these permissions
	open    bool     // no credentials asked for
}

func routes() []route {
	const v1 = "/api/v1"
	list := []route{
		{pattern: "GET " + v1 + "/users/me", handle: userMe},
		{pattern: "GET " + v1 + "/users/search", handle: searchUsers, needs: userRights},
		{pattern: "POST " + v1 + "/users/search", handle: searchUsers, needs: userRights},
		{pattern: "GET " + v1 + "/users", handle: listUsers},
		{pattern: "POST " + v1 + "/users", handle: createUser, needs: userRights},
		{pattern: "GET " + v1 + "/users/{id}", handle: getUser},
		{pattern: "PUT " + v1 + "/users/{id}", handle: updateUser},
		{pattern: "DELETE " + v1 + "/users/{id}", handle: deleteUser, needs: []string{"admin.user"}},
		{pattern: "GET " + v1 + "/user_access_token", handle: listTokens, needs: tokenRights},
		{pattern: "POST " + v1 + "/user_access_token", handle: createToken, needs: tokenRights},
		{pattern: "DELETE " + v1 + "/user_access_token/{id}", handle: deleteToken, needs: tokenRights},
		{pattern: "GET " + v1 + "/data_privacy_tasks", handle: listPrivacyTasks, needs: privacyRights},
		{pattern: "POST " + v1 + "/data_privacy_tasks", handle: createPrivacyTask, needs: privacyRights},
		{pattern: "GET " + v1 + "/data_privacy_tasks/{id}", handle: getPrivacyTask, needs: privacyRights},

		{pattern: "GET " + v1 + "/tickets", handle: listTickets},
		{pattern: "POST " + v1 + "/tickets", handle: createTicket},
		{pattern: "GET " + v1 + "/tickets/search", handle: searchTickets},
		{pattern: "POST " + v1 + "/tickets/search", handle: searchTickets},
		{pattern: "GET " + v1 + "/tickets/{id}", handle: getTicket},
		{pattern: "PUT " + v1 + "/tickets/{id}", handle: updateTicket},
		{pattern: "DELETE " + v1 + "/tickets/{id}", handle: deleteTicket},
		{pattern: "PUT " + v1 + "/ticket_merge/{source}/{target}", handle: mergeTickets},
		{pattern: "GET " + v1 + "/ticket_history/{id}", handle: ticketHistory},
		{pattern: "GET " + v1 + "/ticket_articles/by_ticket/{id}", handle: listArticles},
		{pattern: "POST " + v1 + "/ticket_articles", handle: createArticle},
		{pattern: "GET " + v1 + "/ticket_articles/{id}", handle: getArticle},
		{pattern: "PUT " + v1 + "/ticket_articles/{id}", handle: updateArticle},
		{pattern: "DELETE " + v1 + "/ticket_articles/{id}", handle: deleteArticle},
		{pattern: "GET " + v1 + "/ticket_attachment/{ticket}/{article}/{file}", handle: downloadFile},

		{pattern: "GET " + v1 + "/links", handle: listLinks},
		{pattern: "POST " + v1 + "/links/add", handle: addLink},
		{pattern: "GET " + v1 + "/tags", handle: listTags},
		{pattern: "POST " + v1 + "/tags/add", handle: addTag},
		{pattern: "DELETE " + v1 + "/tags/remove", handle: removeTag},
		{pattern: "GET " + v1 + "/mentions", handle: listMentions},
		{pattern: "GET " + v1 + "/taskbar", handle: emptyList},

		{pattern: "GET " + v1 + "/version", handle: showVersion, needs: []string{"admin"}},
		{pattern: "GET " + v1 + "/getting_started", handle: gettingStarted, open: true},
		{pattern: "GET " + v1 + "/monitoring/health_check", handle: healthCheck, open: true},
		{pattern: "GET " + v1 + "/settings", handle: listSettings, needs: anyAdmin},
		{pattern: "PUT " + v1 + "/settings/{id}", handle: updateSetting, needs: anyAdmin},
		{pattern: "GET " + v1 + "/object_manager_attributes", handle: listAttributes, needs: objectRights},
		{pattern: "POST " + v1 + "/object_manager_attributes", handle: createAttribute, needs: objectRights},
		{pattern: "PUT " + v1 + "/object_manager_attributes/{id}", handle: updateAttribute, needs: objectRights},
		{pattern: "POST " + v1 + "/object_manager_attributes_execute_migrations", handle: migrateAttributes, needs: objectRights},
		{pattern: "GET " + v1 + "/webhooks/preview", handle: previewWebhook, needs: []string{"admin.webhook"}},
	}
	for _, k := range kinds {
		list = append(list, k.routes(v1)...)
	}
	return list
}

var (
	userRights    = []string{"ticket.agent", "admin.user"}
	tokenRights   = []string{"user_preferences.access_token"}
	privacyRights = []string{"admin.data_privacy"}
	objectRights  = []string{"admin.object"}
	anyAdmin      = []string{"admin.*"}
)

func emptyList(*call) (any, error) { return []any{}, nil }

func showVersion(c *call) (any, error) { return row{"version": "6.1.x"}, nil }

func gettingStarted(c *call) (any, error) {
	return row{"setup_done": true, "import_mode": false, "import_backend": "", "system_online_service": false,
		"addresses": []any{}, "groups": []any{}, "config": row{}, "channel_driver": row{}}, nil
}

// healthCheck knows no monitoring token, so it refuses everybody but admins.
func healthCheck(c *call) (any, error) { return nil, forbidden("Not authorized") }

// State is the ground truth: what the simulated Zammad holds and has sent at one moment.
type State struct {
	Now        time.Time       `json:"now"`     // on the simulator's clock
	Pending    int             `json:"pending"` // see Simulator.Pending
	Tickets    []TicketState   `json:"tickets"` // by id; deleted ones are gone
	Articles   []ArticleState  `json:"articles"`
	Deliveries []DeliveryState `json:"deliveries"` // in the order in which they were caused
}

// TicketState is a ticket with names instead of ids.
type TicketState struct {
	ID       int    `json:"id"`
	Number   string `json:"number"`
	Title    string `json:"title"`
	State    string `json:"state"`
	Group    string `json:"group"`
	Customer string `json:"customer"` // login
}

// ArticleState is an article, by id; deleted ones stay with what they said last.
type ArticleState struct {
	ID         int       `json:"id"`
	Ticket     int       `json:"ticket"` // after a merge the one it was moved to
	MessageID  string    `json:"message_id"`
	Sender     string    `json:"sender"` // Agent, Customer or System
	Internal   bool      `json:"internal"`
	Body       string    `json:"body"` // as stored
	BodySHA256 string    `json:"body_sha256"`
	CreatedAt  time.Time `json:"created_at"`
	Deleted    bool      `json:"deleted"`
}

// DeliveryState is a webhook that a trigger has caused.
type DeliveryState struct {
	ID       string    `json:"id"` // X-Zammad-Delivery
	Trigger  string    `json:"trigger"`
	Ticket   int       `json:"ticket"`
	Article  int       `json:"article"` // 0 without one
	Attempts []Attempt `json:"attempts"`
	Finished bool      `json:"finished"` // delivered, given up, dropped or without an object
}

// Attempt is one try to send a webhook.
type Attempt struct {
	At     time.Time `json:"at"`     // when it ended, on the simulator's clock
	Status int       `json:"status"` // 0 without an answer
	Error  string    `json:"error,omitempty"`
}

// State returns the ground truth of this moment. Requests wait only while references are
// copied.
func (s *Simulator) State() State {
	owed := s.faults.debt()
	s.mu.Lock()
	out := State{Now: s.clock.Now().UTC(), Pending: owed + len(s.queue),
		Tickets: []TicketState{}, Articles: []ArticleState{}, Deliveries: []DeliveryState{}}
	for _, t := range s.tickets.all(nil) {
		out.Tickets = append(out.Tickets, TicketState{ID: t.id(), Number: t.str("number"), Title: t.str("title"),
			State: s.states.rows[t.num("state_id")].str("name"), Group: s.groups.rows[t.num("group_id")].str("name"),
			Customer: s.users.rows[t.num("customer_id")].str("login")})
	}
	for _, d := range s.deliveries {
		out.Deliveries = append(out.Deliveries, DeliveryState{ID: d.id, Trigger: d.name, Ticket: d.ticket, Article: d.article,
			Attempts: append([]Attempt{}, d.tries...), Finished: d.finished})
	}
	articles := s.articles.all(nil)
	living := len(articles)
	for _, a := range s.buried {
		articles = append(articles, a)
	}
	senders := s.senders
	s.mu.Unlock()
	for i, a := range articles {
		body := a.str("body")
		sum := sha256.Sum256([]byte(body))
		out.Articles = append(out.Articles, ArticleState{ID: a.id(), Ticket: a.num("ticket_id"), MessageID: a.str("message_id"),
			Sender: senders[a.num("sender_id")-1], Internal: a.flag("internal"), Body: body, BodySHA256: hex.EncodeToString(sum[:]),
			CreatedAt: a.time("created_at").UTC().Truncate(time.Millisecond), Deleted: i >= living})
	}
	slices.SortFunc(out.Articles, func(a, b ArticleState) int { return a.ID - b.ID })
	return out
}
