package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"deskbridge/zammad"
	"deskbridge/zammad/simulator"
)

// What a provisioned simulator has. The second group is one that the bridge's
// user cannot see: the agent may move tickets out of sight.
const (
	chatGroup   = "App Chat"
	otherGroup  = "Backoffice"
	bridgeLogin = "deskbridge"
	agentLogin  = "counselor"
	adminLogin  = "admin@example.org"
)

// runPath begins more addresses of the same simulator. A bridge knows a Zammad by
// its address: one that knew an earlier simulator here needs another.
const runPath = "/run/"

// pageGrace is how long running requests may take when simulator or demo stop.
// Failure policy: they are cut off.
const pageGrace = 5 * time.Second

// SimulateOptions are the choices of the command simulate.
type SimulateOptions struct {
	Listen string       // host:port; port 0 is any
	JSON   bool         // one line of JSON instead of words
	Stdout io.Writer    // where addresses and tokens are written once all is ready
	Log    *slog.Logger // everything else
}

// Simulate runs a simulated Zammad with a group, users and tokens until ctx
// ends; then it returns nil. It keeps everything in memory. An address that is
// taken is a *net.OpError.
func Simulate(ctx context.Context, opts SimulateOptions) error {
	return stopped(ctx, runSimulation(ctx, opts))
}

func runSimulation(ctx context.Context, opts SimulateOptions) error {
	s, err := listenSimulation(ctx, opts.Listen, "--listen", opts.Log)
	if err != nil {
		return err
	}
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return s.run(running) })
	group.Go(func() error {
		access, _, err := s.provision(running)
		if err != nil {
			return err
		}
		if opts.JSON {
			return printJSON(opts.Stdout, map[string]any{"zammad": access})
		}
		_, err = fmt.Fprintf(opts.Stdout, `A simulated Zammad is ready; it forgets everything when it stops.

  desk page      %s
  address        %s
  group          %s
  bridge token   %s
  agent token    %s
  admin token    %s

Stop it with Ctrl-C.
`, deskPage(access), access.URL, access.Group, access.BridgeToken, access.AgentToken, access.AdminToken)
		return err
	})
	return group.Wait()
}

// zammadAccess is what one needs to work with the simulated Zammad.
type zammadAccess struct {
	URL         string `json:"url"` // origin, without a path
	BridgeToken string `json:"bridge_token"`
	AgentToken  string `json:"agent_token"` // of a person, not of the bridge
	AdminToken  string `json:"admin_token"`
	Group       string `json:"group"`
}

// simulation is a simulated Zammad with its address.
type simulation struct {
	simulator *simulator.Simulator
	listener  net.Listener
	origin    string
	password  string // of the administrator
	log       *slog.Logger
}

func listenSimulation(ctx context.Context, address, flag string, log *slog.Logger) (*simulation, error) {
	listener, err := listenOn(ctx, address, flag)
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	return &simulation{
		simulator: simulator.New(simulator.Config{
			Logger: log, FQDN: listener.Addr().String(), HTTPType: "http", AdminLogin: adminLogin, AdminPassword: password,
		}),
		listener: listener, origin: originOf(listener.Addr()), password: password, log: log,
	}, nil
}

// host is the IP address in the origin.
func (s *simulation) host() string {
	u, err := url.Parse(s.origin)
	if err != nil { // it was made here
		return s.listener.Addr().String()
	}
	return u.Hostname()
}

// run serves the simulator and delivers its webhooks until ctx ends.
func (s *simulation) run(ctx context.Context) error {
	srv := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: pageGrace,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.simulator.Run(ctx) })
	group.Go(func() error {
		if err := srv.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the simulated Zammad on %s: %w", s.listener.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), pageGrace)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			return srv.Close()
		}
		return nil
	})
	return group.Wait()
}

func (s *simulation) handler() http.Handler {
	zammad := s.simulator.Handler()
	mux := http.NewServeMux()
	mux.Handle("/", zammad)
	mux.HandleFunc(runPath+"{run}/", func(w http.ResponseWriter, r *http.Request) {
		http.StripPrefix(runPath+r.PathValue("run"), zammad).ServeHTTP(w, r)
	})
	return mux
}

// provision makes groups, users and tokens by the REST API, as the
// administrator of a real Zammad would (contract 5), and gives the
// administrator's client for more. The bridge's user sees the chat's group and
// more groups, which are made too.
func (s *simulation) provision(ctx context.Context, more ...string) (zammadAccess, *zammad.Client, error) {
	access := zammadAccess{URL: s.origin, Group: chatGroup}
	admin, err := zammad.New(zammad.Config{URL: s.origin, Username: adminLogin, Password: s.password})
	if err != nil {
		return access, nil, err
	}
	bridgeSees, all := map[string][]string{}, map[string][]string{}
	for _, name := range append([]string{chatGroup, otherGroup}, more...) {
		all[name] = []string{"full"}
		if name != otherGroup {
			bridgeSees[name] = []string{"full"}
		}
		if _, err := admin.Groups.Create(ctx, zammad.Group{Name: name, Active: true, FollowUpPossible: zammad.FollowUpYes}); err != nil {
			return access, nil, fmt.Errorf("make the group %s: %w", name, err)
		}
	}
	for _, user := range []zammad.NewUser{
		{Login: bridgeLogin, Firstname: "Desk", Lastname: "Bridge", Roles: []string{"Agent"}, Groups: bridgeSees},
		{Login: agentLogin, Firstname: "Cora", Lastname: "Counselor", Roles: []string{"Agent"}, Groups: all},
	} {
		if _, err := admin.Users.Create(ctx, user); err != nil {
			return access, nil, fmt.Errorf("make the user %s: %w", user.Login, err)
		}
	}
	me, err := admin.Users.Me(ctx)
	if err != nil {
		return access, nil, fmt.Errorf("ask who the administrator is: %w", err)
	}
	if _, err := admin.Users.Update(ctx, me.ID, zammad.Changes{"groups": all}); err != nil {
		return access, nil, fmt.Errorf("let the administrator see the groups: %w", err)
	}
	for _, token := range []struct {
		owner       *zammad.Client
		permissions []string
		into        *string
	}{
		{admin.As(bridgeLogin), []string{"ticket.agent"}, &access.BridgeToken},
		{admin.As(agentLogin), []string{"ticket.agent"}, &access.AgentToken},
		{admin, []string{"admin", "ticket.agent"}, &access.AdminToken},
	} {
		if *token.into, err = token.owner.Tokens.Create(ctx, zammad.NewToken{Name: "deskbridge", Permissions: token.permissions}); err != nil {
			return access, nil, fmt.Errorf("make a token: %w", err)
		}
	}
	return access, admin, nil
}

// deskPage is the agent's page; the fragment, which no server ever sees, signs
// the agent in.
func deskPage(access zammadAccess) string {
	return access.URL + "/desk/#token=" + url.QueryEscape(access.AgentToken) + "&group=" + url.PathEscape(access.Group)
}

// listenOn takes an address. The error is a *net.OpError that says which flag
// chooses another one.
func listenOn(ctx context.Context, address, flag string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w (choose another address with %s)", err, flag)
	}
	return listener, nil
}

// originOf is the address at which this machine reaches a listener.
func originOf(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// printJSON writes one line, with addresses as they are.
func printJSON(to io.Writer, value any) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// stopped says that a start which was broken off by the end of ctx is no error.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
