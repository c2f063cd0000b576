// Package simulator is a Zammad 6.1 for tests, for the demo and for app developers: the REST
// calls a chat bridge uses, triggers, signed webhooks on Zammad's retry schedule and a small
// desk page on which a person acts as the agent. What it answers is held step by step against
// recordings of a real one (see TestRecordingsReplay). It keeps everything in memory.
//
// Requests are answered one at a time, each as one transaction: what is refused leaves
// nothing behind but used-up ids. Not simulated: scheduler jobs (stored, never run), mail,
// picture previews, time accounting, and the spurious deliveries that a real Zammad may send
// after refused updates (contract 00.6).
package simulator

import (
	"context"
	"log/slog"
	"net/http"
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

	mu        sync.Mutex // guards the database and what follows
	queue     []*delivery
	lastActor int // who made the last request with good credentials
	wake      chan struct{}
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
		wake: make(chan struct{}, 1),
	}
}

// Handler serves the API under /api/v1 and the desk page under /desk/.
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range routes() {
		mux.HandleFunc(rt.pattern, s.serve(rt))
	}
	mux.Handle("/desk/", deskpage.Handler("/desk/"))
	mux.Handle("GET /{$}", http.RedirectHandler("/desk/", http.StatusFound))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c := &call{Simulator: s, r: r}
		c.fail(w, notFound("No route matches ["+r.Method+"] "+r.URL.Path))
	})
	return mux
}

// Run delivers webhooks until ctx ends; it then returns nil. One worker, one delivery at a
// time, as Zammad does by default (contract 4.3).
func (s *Simulator) Run(ctx context.Context) error {
	s.work(ctx)
	return nil
}

// Pending returns how many background jobs wait or run: webhooks, repeats included, and the
// counts of customers' tickets. At 0 everything that was caused so far has been delivered.
func (s *Simulator) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
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
