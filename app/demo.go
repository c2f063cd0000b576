package app

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"

	"deskbridge/config"
)

// The demo's first region, which its pages and programs use.
const (
	demoRegion   = "testland"
	demoLanguage = "de"
	phonePath    = "/demo/phone/"
)

// demoMark is the file that says that a folder belongs to the demo.
const demoMark = "demo.txt"

//go:embed demo/phone
var demoFiles embed.FS

// DemoOptions are the choices of the command demo.
type DemoOptions struct {
	Listen       string       // bridge and phone page, host:port; port 0 is any
	ZammadListen string       // simulated Zammad and desk page
	DataDir      string       // empty: a temporary folder that is removed at the end
	JSON         bool         // one line of JSON instead of words
	Stdout       io.Writer    // where addresses and tokens are written once all is ready
	Log          *slog.Logger // everything else
}

// Demo runs the bridge between a page that is a phone and a simulated Zammad,
// provisioned by its REST API, until ctx ends; then it returns nil. An address
// that is taken is a *net.OpError.
//
// The simulated Zammad is a new one each time, without the tickets of an earlier
// demo in the same DataDir; its numbers begin anew, so that the number of such a
// ticket is another device's. Therefore the regions of an earlier demo are moved to
// an address that they never had: devices keep their history, what was still
// queued is sent, and every chat goes on in a new ticket.
func Demo(ctx context.Context, opts DemoOptions) error {
	return stopped(ctx, runDemo(ctx, opts))
}

func runDemo(ctx context.Context, opts DemoOptions) (err error) {
	dir, leave, err := demoFolder(opts.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()
	listener, err := listenOn(ctx, opts.Listen, "--listen")
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // for starts that fail; otherwise it is closed already
	sim, err := listenSimulation(ctx, opts.ZammadListen, "--zammad-listen", opts.Log)
	if err != nil {
		return err
	}

	d := &demo{opts: opts, dir: dir, listener: listener, origin: originOf(listener.Addr()), signature: rand.Text()}
	// The simulator stops after the bridge, whose last calls it answers.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, background := errgroup.WithContext(background)
	group.Go(func() error { return sim.run(background) })
	group.Go(func() error {
		defer stop()
		serving, cancel := context.WithCancel(ctx)
		defer cancel()
		context.AfterFunc(background, cancel) // without a Zammad there is no demo
		return d.run(serving, sim)
	})
	return group.Wait()
}

// demoFolder gives the folder for the data and what to do with it at the end.
func demoFolder(given string) (dir string, leave func() error, err error) {
	if given == "" {
		dir, err = os.MkdirTemp("", "deskbridge-demo-")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	if dir, err = filepath.Abs(given); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", nil, err
	}
	mark := filepath.Join(dir, demoMark)
	if _, err := os.Stat(mark); err != nil && len(entries) > 0 {
		return "", nil, fmt.Errorf("%s is not empty and was not made by a demo; choose another folder with --data", dir)
	}
	return dir, func() error { return nil }, os.WriteFile(mark, []byte("This folder belongs to the demo of Deskbridge. Each start moves its regions to a new Zammad.\n"), 0o600)
}

// demo is the bridge's half.
type demo struct {
	opts      DemoOptions
	dir       string
	listener  net.Listener
	origin    string
	signature string // key of the webhook's HMAC
}

func (d *demo) run(ctx context.Context, sim *simulation) (err error) {
	access, admin, err := sim.provision(ctx, demoPlaces[1].group)
	if err != nil {
		return err
	}
	for _, place := range demoPlaces {
		if err := d.connect(ctx, admin, place); err != nil {
			return err
		}
	}
	cfg, err := demoConfig(d.dir, sim.host())
	if err != nil {
		return err
	}
	a, err := Open(ctx, cfg, d.opts.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	for _, place := range demoPlaces {
		if err := d.joinRegion(ctx, a, place, access); err != nil {
			return err
		}
	}
	if err := d.inventYear(ctx, a); err != nil {
		return err
	}
	console, err := d.enrol(ctx, a)
	if err != nil {
		return err
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err = a.Serve(ctx, ServeOptions{
		Listener: d.listener, Mount: mountPhone,
		Ready: func(net.Addr) {
			if err := d.announce(access, console); err != nil {
				cancel(fmt.Errorf("say that the demo is ready: %w", err))
			}
		},
	})
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// demoConfig is the configuration of the demo: of the environment it takes
// nothing, lest it touch a real installation. zammad is where the simulated one
// listens: it is on this machine, whatever the address.
func demoConfig(dir, zammad string) (config.Config, error) {
	return config.Load("", []string{
		"DESKBRIDGE_DATA_DIR=" + dir,
		"DESKBRIDGE_EGRESS_ALLOW=127.0.0.0/8,::1," + zammad,
		"DESKBRIDGE_LIMITS_EXEMPT_LOOPBACK=true",
		"DESKBRIDGE_LIMITS_DEVICE_WRITES_PER_MINUTE=0", // nor do they hold for single devices
		// What no webhook tells is on the phone sooner than by default, and doubt
		// is settled sooner: the simulated Zammad has nothing else to do, and no
		// write is still running there after seconds.
		"DESKBRIDGE_JOBS_RECONCILE=@every 5s",
		"DESKBRIDGE_ZAMMAD_WRITE_HORIZON=10s",
	})
}

// mountPhone adds the page of the app user, on the bridge's own origin.
func mountPhone(engine *gin.Engine) {
	// What could fail here is the name of the folder that is embedded above.
	pages, _ := fs.Sub(demoFiles, "demo/phone")
	static := http.StripPrefix(phonePath, http.FileServerFS(pages))
	serve := func(c *gin.Context) {
		h := c.Writer.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'")
		h.Set("Cache-Control", "no-cache")
		static.ServeHTTP(c.Writer, c.Request)
	}
	engine.GET(phonePath+"*file", serve)
	engine.HEAD(phonePath+"*file", serve)
	engine.GET("/", func(c *gin.Context) { c.Redirect(http.StatusFound, phonePath) })
}

// announce says that the demo is ready, and where.
func (d *demo) announce(access zammadAccess, console demoConsole) error {
	phone := d.origin + phonePath + "?region=" + demoRegion
	if d.opts.JSON {
		return printJSON(d.opts.Stdout, demoReady{
			DeviceAPI: d.origin, Region: demoRegion, Language: demoLanguage, Zammad: access,
			Webhook: demoWebhook{d.webhook(demoPlaces[0]), d.signature}, Pages: demoPages{phone, deskPage(access)}, Console: console, Data: d.dir,
		})
	}
	_, err := fmt.Fprintf(d.opts.Stdout, `The demo is ready. Open these pages side by side:

  phone  %s
         write as an app user
  desk   %s
         answer as an agent

  console  %s
         decide who gets the chat, look how it goes; sign in as
%s
For your own hands and programs:

  device API     %s/api/v3/%s/%s/chat/my-device/
  Zammad         %s (simulated)
  agent token    %s
  bridge token   %s
  admin token    %s
  data           %s

Stop it with Ctrl-C.
`, phone, deskPage(access), console.URL, console.words(), d.origin, demoRegion, demoLanguage, access.URL, access.AgentToken, access.BridgeToken, access.AdminToken, d.dir)
	return err
}

// demoReady is the line that programs read.
type demoReady struct {
	DeviceAPI string       `json:"device_api"` // origin, without a path
	Region    string       `json:"region"`
	Language  string       `json:"language"`
	Zammad    zammadAccess `json:"zammad"`
	Webhook   demoWebhook  `json:"webhook"`
	Pages     demoPages    `json:"pages"`
	Console   demoConsole  `json:"console"`
	Data      string       `json:"data"`
}

type demoWebhook struct {
	URL            string `json:"url"`
	SignatureToken string `json:"signature_token"`
}

type demoPages struct {
	Phone string `json:"phone"`
	Desk  string `json:"desk"`
}
