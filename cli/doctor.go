package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"deskbridge/app"
	"deskbridge/config"
	"deskbridge/realtime"
	"deskbridge/storage"
)

// doctorTimeout bounds what the doctor asks of one other server.
const doctorTimeout = 20 * time.Second

type doctorCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// The words of findings.
const (
	findingOK   = "ok"
	findingWarn = "warn"
	findingFail = "fail"
)

// finding is one line of the doctor.
type finding struct {
	Status string `json:"status"`
	Check  string `json:"check"`
	Detail string `json:"detail"`
	Mend   string `json:"mend,omitempty"`

	code int // exit code of a failure
}

// doctor gathers findings.
type doctor struct {
	ctx      context.Context
	log      *slog.Logger // what rooms say while they are examined is not shown
	findings []finding
}

func (d *doctor) ok(check, format string, args ...any) {
	d.findings = append(d.findings, finding{Status: findingOK, Check: check, Detail: fmt.Sprintf(format, args...)})
}

func (d *doctor) warn(check, detail, mend string) {
	d.findings = append(d.findings, finding{Status: findingWarn, Check: check, Detail: detail, Mend: mend})
}

func (d *doctor) fail(code int, check string, err error, mend string) {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	d.findings = append(d.findings, finding{Status: findingFail, Check: check, Detail: text, Mend: mend, code: code})
}

// Run examines everything that can be examined; the exit code is that of the
// first failure. It changes nothing.
func (c *doctorCmd) Run(s *invocation) error {
	d := &doctor{ctx: s.ctx, log: slog.New(slog.DiscardHandler)}
	d.examine(s)
	var first error
	for _, f := range d.findings {
		if f.Status == findingFail && first == nil {
			first = coded(f.code, errors.New(f.Check+" is not well"))
		}
	}
	if c.JSON {
		if err := s.printJSON(map[string]any{"ok": first == nil, "findings": d.findings}); err != nil {
			return err
		}
		return first
	}
	for _, f := range d.findings {
		s.printf("%-4s  %s: %s\n", f.Status, f.Check, f.Detail)
		if f.Mend != "" {
			s.printf("      -> %s\n", f.Mend)
		}
	}
	return first
}

func (d *doctor) examine(s *invocation) {
	cfg, err := config.Load(s.configFile, s.Environ)
	if err != nil {
		d.fail(ExitConfig, "configuration", err, "see docs/configuration.md for every key")
		return
	}
	d.ok("configuration", "readable, every value is valid")
	for _, sentence := range cfg.Warnings() {
		d.warn("configuration", sentence, "see docs/configuration.md")
	}
	d.redis(cfg)
	d.mail(cfg)
	key := d.key(cfg)
	if key == nil || !d.database(cfg, key) {
		return
	}
	d.regions(cfg)
}

func (d *doctor) redis(cfg config.Config) {
	if cfg.Redis.URL == "" {
		return
	}
	bus, err := realtime.NewBus(string(cfg.Redis.URL), d.log)
	if err == nil {
		ctx, cancel := context.WithTimeout(d.ctx, doctorTimeout)
		defer cancel()
		err = bus.Ping(ctx)
	}
	if err != nil {
		d.fail(ExitRedis, "redis", err, "check redis.url and that Redis runs; without Redis leave redis.url empty")
		return
	}
	d.ok("redis", "%s answers", cfg.Redis.URL)
}

// mail says whether the mail server takes notices. It sends none.
func (d *doctor) mail(cfg config.Config) {
	if cfg.SMTP.Host == "" {
		return
	}
	ctx, cancel := context.WithTimeout(d.ctx, doctorTimeout)
	defer cancel()
	if err := app.Mail(cfg).Check(ctx); err != nil {
		d.fail(ExitMail, "mail", err, "check smtp.host, smtp.port, smtp.security, and the login; without a mail server leave smtp.host empty")
		return
	}
	d.ok("mail", "%s takes notices", cfg.SMTP.Host)
}

// key gives the secret key, nil if there is none.
func (d *doctor) key(cfg config.Config) []byte {
	key, err := cfg.Key(false)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.warn("secret key", cfg.SecretKeyFile+" does not exist", "serve makes it at the first start; if there is a database already, bring the file back from the backup")
		return nil
	case err != nil:
		d.fail(ExitKey, "secret key", err, "bring the key back from the backup")
		return nil
	case cfg.SecretKey != "":
		d.ok("secret key", "given as a setting")
		return key
	}
	info, err := os.Stat(cfg.SecretKeyFile)
	if err != nil {
		d.fail(ExitKey, "secret key", err, "check the path secret_key_file")
		return nil
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		d.warn("secret key", fmt.Sprintf("%s has mode %04o: others can read it", cfg.SecretKeyFile, mode), "chmod 600 "+cfg.SecretKeyFile)
	} else {
		d.ok("secret key", "%s is private", cfg.SecretKeyFile)
	}
	return key
}

// database says whether the database is there with this version's schema.
func (d *doctor) database(cfg config.Config, key []byte) bool {
	url := string(cfg.Database.URL)
	if path, isFile := strings.CutPrefix(url, "sqlite:"); isFile {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			d.warn("database", path+" does not exist", "serve makes it at the first start")
			return false
		}
	}
	ctx, cancel := context.WithTimeout(d.ctx, doctorTimeout)
	defer cancel()
	store, err := storage.Open(ctx, storage.Config{URL: url, Key: key, Log: d.log, Now: time.Now, NoMigrate: true})
	if errors.Is(err, storage.ErrOlderSchema) {
		d.warn("database", err.Error(), "deskbridge migrate (serve does it too, at its start)")
		return false
	}
	if errors.Is(err, storage.ErrNewerSchema) {
		d.fail(ExitSchema, "database", err, "run the newer version of Deskbridge, or bring back the backup from before the upgrade")
		return false
	}
	if err == nil {
		err = errors.Join(store.Ping(ctx), store.Close())
	}
	if err != nil {
		d.fail(ExitDatabase, "database", err, "check database.url, the server or the file's owner, and that the disk is not full")
		return false
	}
	d.ok("database", "%s can be written, the schema is this version's", cfg.Database.URL)
	return true
}

// regions opens the installation, which proves that the key fits, and examines
// each region's Zammad.
func (d *doctor) regions(cfg config.Config) {
	a, err := app.Open(d.ctx, cfg, d.log)
	if errors.Is(err, storage.ErrWrongKey) {
		d.fail(ExitKey, "secret key", err, "bring back the key that this database was written with")
		return
	}
	if err != nil {
		d.fail(ExitDatabase, "database", err, "see the message")
		return
	}
	d.ok("secret key", "it fits the database")
	if len(a.Regions.All()) == 0 {
		d.warn("regions", "there are none", "deskbridge region add SLUG --help")
	}
	for _, region := range a.Regions.All() {
		d.region(a, region, cfg.SMTP.Host != "")
	}
	d.erasures(a)
	if err := a.Close(); err != nil {
		d.fail(ExitDatabase, "database", err, "see the message")
	}
}
