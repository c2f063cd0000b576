package config

import (
	"cmp"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// instanceName keeps names of instances fit for database columns and logs.
var instanceName = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

// want records a problem with the value of key unless ok.
func (l *loader) want(ok bool, key, form string) {
	if ok {
		return
	}
	if origin := l.origin[key]; origin != "" {
		l.problem("%s: %s must be %s", origin, key, form)
	} else {
		l.problem("%s must be %s", key, form)
	}
}

// check holds every value against its form and range.
func (l *loader) check() {
	c := l.cfg
	l.want(isAddress(c.Listen), "listen", "host:port, such as 127.0.0.1:8080")
	l.want(c.PublicURL == "" || isURL(c.PublicURL, "http", "https"), "public_url", "an http or https URL without user, query and fragment")
	l.want(c.DataDir != "", "data_dir", "the path of a folder")
	l.want(instanceName.MatchString(c.Instance), "instance", "1 to 64 letters, digits and . _ : -")
	l.want(isDatabase(string(c.Database.URL)), "database.url", "sqlite:PATH or mysql://user:password@host:port/name")
	l.want(c.Redis.URL == "" || isServer(string(c.Redis.URL), "redis", "rediss"), "redis.url", "redis://host:port or rediss://host:port")
	if c.SecretKey != "" {
		_, err := parseKey(string(c.SecretKey))
		l.want(err == nil, "secret_key", keyForm)
	}
	l.between("shutdown_timeout", c.ShutdownTimeout, time.Second, 10*time.Minute)
	l.between("zammad.write_horizon", c.Zammad.WriteHorizon, time.Second, time.Hour)
	l.between("zammad.read_timeout", c.Zammad.ReadTimeout, time.Second, 5*time.Minute)
	l.between("zammad.write_timeout", c.Zammad.WriteTimeout, time.Second, 10*time.Minute)
	l.number("zammad.concurrency", int64(c.Zammad.Concurrency), 1, 64)
	l.want(!slices.ContainsFunc(c.Egress.Allow, func(entry string) bool { return !isNetworkOrHost(entry) }),
		"egress.allow", "a list of networks such as 10.1.0.0/16, addresses such as 10.1.2.3, or host names such as zammad.intern")
	l.number("limits.writes_per_minute", int64(c.Limits.WritesPerMinute), 0, 1_000_000)
	l.number("limits.reads_per_minute", int64(c.Limits.ReadsPerMinute), 0, 10_000_000)
	l.number("limits.device_writes_per_minute", int64(c.Limits.DeviceWritesPerMinute), 0, 1_000_000)
	l.number("limits.device_signals_per_minute", int64(c.Limits.DeviceSignalsPerMinute), 0, 1_000_000)
	l.number("limits.region_writes_per_minute", int64(c.Limits.RegionWritesPerMinute), 0, 10_000_000)
	l.number("limits.new_chats_per_minute", int64(c.Limits.NewChatsPerMinute), 0, 1_000_000)
	l.number("limits.connections_per_address", int64(c.Limits.ConnectionsPerAddress), 0, 1_000_000)
	l.number("limits.streams", int64(c.Limits.Streams), 0, 1_000_000)
	l.number("limits.streams_per_device", int64(c.Limits.StreamsPerDevice), 0, 1000)
	l.number("limits.body_bytes", c.Limits.BodyBytes, 1<<10, 16<<20)
	l.number("limits.webhook_body_bytes", c.Limits.WebhookBodyBytes, 16<<10, 16<<20)
	l.number("retention.delivery_days", int64(c.Retention.DeliveryDays), 1, 3650)
	l.number("retention.exposure_days", int64(c.Retention.ExposureDays), 1, 3650)
	l.number("retention.job_run_days", int64(c.Retention.JobRunDays), 1, 3650)
	l.number("retention.statistics_days", int64(c.Retention.StatisticsDays), 1, 3650)
	l.number("retention.audit_days", int64(c.Retention.AuditDays), 0, 36500)
	l.number("author.days", int64(c.Author.Days), 1, 3650)
	l.console()
	l.want(!slices.ContainsFunc(c.CORS.Origins, func(o string) bool { return o != "*" && !isOrigin(o) }),
		"cors.origins", "a list of * or origins such as https://app.example.org")
	l.want(isSchedule(c.Jobs.Prune), "jobs.prune", scheduleForm)
	l.want(isSchedule(c.Jobs.Reconcile), "jobs.reconcile", scheduleForm)
	l.want(isSchedule(c.Jobs.OutboxSweep), "jobs.outbox_sweep", scheduleForm)
	l.want(isSchedule(c.Jobs.Alert), "jobs.alert", scheduleForm)
	l.smtp(c.SMTP)
	l.want(isSchedule(c.Jobs.Tally), "jobs.tally", scheduleForm)
	l.want(slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level), "log.level", "debug, info, warn or error")
	l.want(slices.Contains([]string{"text", "json"}, c.Log.Format), "log.format", "text or json")
}

// smtp holds the mail server's settings against their form. A password never
// goes over a line that is not encrypted.
func (l *loader) smtp(s SMTP) {
	_, err := netip.ParseAddr(s.Host)
	l.want(s.Host == "" || err == nil || hostName.MatchString(s.Host), "smtp.host", "the name of a mail server, without port")
	l.number("smtp.port", int64(s.Port), 1, 65535)
	l.want(slices.Contains([]string{"starttls", "tls", "none"}, s.Security), "smtp.security", "starttls, tls or none")
	l.want(s.Security != "none" || s.User == "", "smtp.user", "empty where smtp.security is none: the password would be readable on the way")
	l.want((s.User == "") == (s.Password == ""), "smtp.password", "set together with smtp.user")
	from, err := mail.ParseAddress(s.From)
	l.want(s.From == "" && s.Host == "" || err == nil && strings.Contains(from.Address, "@"), "smtp.from", "an address such as chat@example.org")
}

// console checks what is about people who sign in.
func (l *loader) console() {
	c := l.cfg.Console
	l.want(c.URL == "" || isURL(c.URL, "http", "https") && isOrigin(strings.TrimSuffix(c.URL, "/")), "console.url", "an http or https URL without user, path, query and fragment")
	l.number("console.session_hours", int64(c.SessionHours), 1, 24*30)
	l.number("console.idle_minutes", int64(c.IdleMinutes), 5, 24*60)
	l.want(slices.Contains([]string{"none", "operators", "all"}, c.RequireSecondFactor), "console.require_second_factor", "none, operators or all")
	l.want(c.OIDC.Issuer == "" || isURL(c.OIDC.Issuer, "http", "https") && !isPlainPublic(c.OIDC.Issuer), "console.oidc.issuer", "an https URL without user, query and fragment")
	l.want(c.OIDC.Issuer == "" || c.OIDC.ClientID != "", "console.oidc.client_id", "set where console.oidc.issuer is")
	l.want(len(c.OIDC.Name) <= 100, "console.oidc.name", "a text of at most 100 bytes")
}

// ConsoleURL gives the address under which people open the console, without
// /admin/. The address that is listened on counts where none is set.
func (c Config) ConsoleURL(listen string) string {
	url := cmp.Or(c.Console.URL, c.PublicURL)
	if url != "" {
		return strings.TrimSuffix(url, "/")
	}
	host, port, _ := net.SplitHostPort(listen)
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

const scheduleForm = `six cron fields, seconds first, such as "0 17 3 * * *", or "@every 30s"; times are UTC`

func (l *loader) between(key string, value, low, high time.Duration) {
	l.want(value >= low && value <= high, key, fmt.Sprintf("a duration from %s to %s", low, high))
}

func (l *loader) number(key string, value, low, high int64) {
	l.want(value >= low && value <= high, key, fmt.Sprintf("a number from %d to %d", low, high))
}

func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func isServer(text string, schemes ...string) bool {
	u, err := url.Parse(text)
	return err == nil && slices.Contains(schemes, u.Scheme) && u.Hostname() != "" && u.Fragment == ""
}

func isURL(text string, schemes ...string) bool {
	u, err := url.Parse(text)
	return err == nil && isServer(text, schemes...) && u.User == nil && u.RawQuery == ""
}

func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme != "" && u.Host != "" && u.Scheme+"://"+u.Host == text
}

var hostName = regexp.MustCompile(`^([A-Za-z0-9_-]{1,63}\.)*[A-Za-z_-][A-Za-z0-9_-]{0,62}\.?$`)

func isNetworkOrHost(text string) bool {
	if _, err := netip.ParsePrefix(text); err == nil {
		return true
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr.Zone() == ""
	}
	return hostName.MatchString(text)
}

func isDatabase(text string) bool {
	if path, isFile := strings.CutPrefix(text, "sqlite:"); isFile {
		return path != ""
	}
	u, err := url.Parse(text)
	return err == nil && isServer(text, "mysql") && u.User != nil && len(strings.Trim(u.Path, "/")) > 0
}

func isSchedule(text string) bool {
	fields := cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor
	schedule, err := cron.NewParser(fields).Parse(text)
	return err == nil && !strings.Contains(text, "TZ=") && !schedule.Next(time.Unix(0, 0)).IsZero()
}

// Warnings names the settings that give up some safety, one sentence each, for
// the log at the start.
func (c Config) Warnings() []string {
	var found []string
	warn := func(when bool, sentence string) {
		if when {
			found = append(found, sentence)
		}
	}
	host, _, _ := net.SplitHostPort(c.Listen)
	addr, err := netip.ParseAddr(host)
	local := host == "localhost" || err == nil && addr.IsLoopback()
	open := slices.ContainsFunc(c.TrustedProxies, func(p netip.Prefix) bool { return p.Bits() == 0 })
	warn(!local, "listen is reachable from other machines and speaks plain HTTP: only a reverse proxy with TLS may reach it")
	warn(isPlainPublic(c.PublicURL), "public_url is plain HTTP: device ids and messages can be read on the way")
	everywhere := slices.ContainsFunc(c.Egress.Allow, func(entry string) bool {
		p, err := netip.ParsePrefix(entry)
		return err == nil && p.Bits() == 0
	})
	warn(everywhere, "egress.allow contains every address: whoever may change a region's settings can reach what only this machine reaches")
	mailer, err := netip.ParseAddr(c.SMTP.Host)
	near := c.SMTP.Host == "localhost" || err == nil && mailer.IsLoopback()
	warn(c.SMTP.Host != "" && c.SMTP.Security == "none" && !near, "smtp.security is none: notices can be read and changed on the way")
	warn(c.Console.Enabled && isPlainPublic(c.Console.URL), "console.url is plain HTTP: passwords can be read on the way, and browsers keep no sign-in there")
	warn(open, "trusted_proxies contains every address: clients can choose the address that limits count")
	limits := []int{
		c.Limits.WritesPerMinute, c.Limits.ReadsPerMinute, c.Limits.DeviceWritesPerMinute, c.Limits.DeviceSignalsPerMinute,
		c.Limits.RegionWritesPerMinute, c.Limits.NewChatsPerMinute, c.Limits.ConnectionsPerAddress,
		c.Limits.Streams, c.Limits.StreamsPerDevice,
	}
	warn(slices.Contains(limits, 0), "a limit is switched off (0)")
	warn(c.Limits.ExemptLoopback && len(c.TrustedProxies) == 0, "limits.exempt_loopback without trusted_proxies: behind a proxy on this machine nobody is limited")
	warn(c.Zammad.WriteHorizon < c.Zammad.WriteTimeout, "zammad.write_horizon is shorter than zammad.write_timeout: messages can be doubled")
	return found
}

func isPlainPublic(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() != "localhost" && (err != nil || !addr.IsLoopback())
}
