// Package config holds the settings of an installation: one tree of structs is
// the only source. The YAML file, the environment, config.example.yaml and
// docs/configuration.md all follow from its tags and comments. Settings of
// regions are not here, they live in the database.
package config

import (
	"net/netip"
	"time"
)

// Config is every setting with its effective value. Each field's comment is its
// documentation: meaning, unit, default, consequence.
type Config struct {
	// Address and port that the HTTP server listens on. Default 127.0.0.1:8080,
	// which only this machine reaches: a reverse proxy with TLS belongs in front.
	Listen string `yaml:"listen" env:"LISTEN"`
	// Address under which devices and Zammad reach this installation, such as
	// https://chat.example.org. Default empty. "region show" tells with it which
	// address the webhook in Zammad needs; it decides nothing.
	PublicURL string `yaml:"public_url" env:"PUBLIC_URL"`
	// Folder of the embedded database and the secret key. Default ./data; it is
	// made if it does not exist.
	DataDir string `yaml:"data_dir" env:"DATA_DIR"`
	// Name of this process in leases and run records; two processes must not
	// share one. Default host name and process number.
	Instance string `yaml:"instance" env:"INSTANCE"`
	// The secret key itself, 32 bytes as 64 hex digits or as base64. Default
	// empty: the key is read from secret_key_file. With another key all stored
	// tokens are unreadable, every device is a stranger and no password is right.
	SecretKey Secret `yaml:"secret_key" env:"SECRET_KEY"`
	// File with the secret key. Default secret.key in data_dir; serve makes it
	// with mode 0600 if it does not exist. Keep a copy apart from the database's.
	SecretKeyFile string `yaml:"secret_key_file" env:"SECRET_KEY_FILE"`
	// Networks (CIDR) of reverse proxies whose X-Forwarded-For is believed.
	// Default none. Without it all clients of a proxy share the limits of one
	// address; with a network that is too wide, clients choose their address.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies" env:"TRUSTED_PROXIES"`
	// How long running requests may take to finish after SIGTERM. Default 20s;
	// what still runs then is cut off.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout" env:"SHUTDOWN_TIMEOUT"`

	Database  Database  `yaml:"database" envPrefix:"DATABASE_"`
	Redis     Redis     `yaml:"redis" envPrefix:"REDIS_"`
	Zammad    Zammad    `yaml:"zammad" envPrefix:"ZAMMAD_"`
	Egress    Egress    `yaml:"egress" envPrefix:"EGRESS_"`
	SMTP      SMTP      `yaml:"smtp" envPrefix:"SMTP_"`
	Limits    Limits    `yaml:"limits" envPrefix:"LIMITS_"`
	CORS      CORS      `yaml:"cors" envPrefix:"CORS_"`
	Jobs      Jobs      `yaml:"jobs" envPrefix:"JOBS_"`
	Retention Retention `yaml:"retention" envPrefix:"RETENTION_"`
	Author    Author    `yaml:"author" envPrefix:"AUTHOR_"`
	Console   Console   `yaml:"console" envPrefix:"CONSOLE_"`
	Log       Log       `yaml:"log" envPrefix:"LOG_"`
}

// Database says where everything is kept.
type Database struct {
	// sqlite:PATH or mysql://user:password@host:port/name (MySQL or MariaDB).
	// Default the file deskbridge.db in data_dir. Several instances need MySQL.
	URL SecretURL `yaml:"url" env:"URL"`
	// File that holds the URL, for secrets that are mounted as files. Default
	// empty. Setting both is an error.
	URLFile string `yaml:"url_file" env:"URL_FILE"`
}

// Redis carries notices between instances and makes their limits one.
type Redis struct {
	// redis://user:password@host:port/number, or rediss:// for TLS. Default
	// empty: instances look into the database instead, twice a second, and each
	// counts its limits alone.
	URL SecretURL `yaml:"url" env:"URL"`
	// File that holds the URL. Default empty. Setting both is an error.
	URLFile string `yaml:"url_file" env:"URL_FILE"`
}

// Zammad holds what is the same for the Zammads of all regions.
type Zammad struct {
	// How long a write that was cut off may still be running inside Zammad.
	// Default 300s. A message whose fate is unknown is looked for during this
	// time before it is sent again; too short a time can double messages.
	WriteHorizon time.Duration `yaml:"write_horizon" env:"WRITE_HORIZON"`
	// Calls at once to one Zammad. Default 4; more makes a small Zammad slower
	// for its agents, not faster for devices.
	Concurrency int `yaml:"concurrency" env:"CONCURRENCY"`
	// How long a read may take. Default 15s; it is tried again afterwards.
	ReadTimeout time.Duration `yaml:"read_timeout" env:"READ_TIMEOUT"`
	// How long a write may take. Default 60s; afterwards its outcome is unknown
	// and is settled by reading.
	WriteTimeout time.Duration `yaml:"write_timeout" env:"WRITE_TIMEOUT"`
}

// Egress says what may be connected to besides the public internet. It holds for
// all addresses that regions have: Zammad, key sets, receivers of alerts.
type Egress struct {
	// Networks (10.1.0.0/16), addresses (10.1.2.3) and host names
	// (zammad.intern) that regions may use although they are not public, at any
	// port. Default none: private, link-local and loopback addresses are refused,
	// so that nobody reaches with a region's settings what only this machine
	// should. A host name allows whatever it resolves to.
	Allow []string `yaml:"allow" env:"ALLOW"`
}

// SMTP is the mail server that takes notices for the staff of regions, and for
// people about their own accounts. egress
// does not hold for it: it is the operator's.
type SMTP struct {
	// Name of the mail server. Default empty: no mail is sent, and regions have
	// webhooks and ntfy for their notices.
	Host string `yaml:"host" env:"HOST"`
	// Its port. Default 587, for mail that is handed in by programs; 465 goes
	// with tls.
	Port int `yaml:"port" env:"PORT"`
	// starttls, tls (encrypted from the first byte) or none. Default starttls: a
	// server that cannot encrypt gets no mail. none is for a server on this machine.
	Security string `yaml:"security" env:"SECURITY"`
	// Name to log in with. Default empty: no login.
	User string `yaml:"user" env:"USER"`
	// Password to log in with. Default empty.
	Password Secret `yaml:"password" env:"PASSWORD"`
	// File that holds the password. Default empty. Setting both is an error.
	PasswordFile string `yaml:"password_file" env:"PASSWORD_FILE"`
	// Sender, such as chat@example.org or Chat <chat@example.org>. Default empty;
	// it is needed where host is set.
	From string `yaml:"from" env:"FROM"`
}

// Limits bound what clients may ask: of all instances together where they share
// a Redis, else of each. 0 means no limit for the numbers a minute and for
// connections and streams.
type Limits struct {
	// Writes a minute from one client address, and as many at once. Default 600;
	// more get 429 with Retry-After.
	WritesPerMinute int `yaml:"writes_per_minute" env:"WRITES_PER_MINUTE"`
	// Reads a minute from one client address, and as many at once. Default 6000;
	// polls are cheap, and many devices may share an address.
	ReadsPerMinute int `yaml:"reads_per_minute" env:"READS_PER_MINUTE"`
	// Writes a minute of one device, whatever its address. Default 600, which no
	// person reaches: it stops a device that has run wild.
	DeviceWritesPerMinute int `yaml:"device_writes_per_minute" env:"DEVICE_WRITES_PER_MINUTE"`
	// What one device may tell of its user a minute: has read, is typing. Default
	// 600. It is counted apart from messages, so that it never costs one; for
	// its address it counts as reading.
	DeviceSignalsPerMinute int `yaml:"device_signals_per_minute" env:"DEVICE_SIGNALS_PER_MINUTE"`
	// Writes a minute of all devices of one region together. Default 6000: a
	// flood from many addresses fills no region's queue for days. Each region
	// counts by itself.
	RegionWritesPerMinute int `yaml:"region_writes_per_minute" env:"REGION_WRITES_PER_MINUTE"`
	// Chats that one client address may open a minute, and as many at once.
	// Default 600. Each becomes a ticket, so a public installation does well to
	// lower it: 60 lets a shelter with a hundred people behind one address pass.
	NewChatsPerMinute int `yaml:"new_chats_per_minute" env:"NEW_CHATS_PER_MINUTE"`
	// Connections that one client address may have open to this instance, and
	// requests that may run for one address behind a trusted proxy. Default
	// 1000, since phones of one carrier share addresses; more get 429.
	ConnectionsPerAddress int `yaml:"connections_per_address" env:"CONNECTIONS_PER_ADDRESS"`
	// Connections that wait for news at a time on this instance: event streams,
	// sockets and long polls. Default 10000, some 30 KB each; more get 503, and
	// such devices poll.
	Streams int `yaml:"streams" env:"STREAMS"`
	// The same for one device, and for one person in the team chat. Default 4: a
	// few windows, and one that was lost without a word. More get 429.
	StreamsPerDevice int `yaml:"streams_per_device" env:"STREAMS_PER_DEVICE"`
	// Largest body of a device's request, files aside, in bytes. Default 1048576 (1 MiB); a
	// larger one gets 413.
	BodyBytes int64 `yaml:"body_bytes" env:"BODY_BYTES"`
	// Files that a message may have. Default 5; 0 takes none. Regions may allow
	// fewer, not more.
	Files int `yaml:"files" env:"FILES"`
	// Largest file of a message, in bytes. Default 10485760 (10 MiB).
	FileBytes int64 `yaml:"file_bytes" env:"FILE_BYTES"`
	// All files of a message together, in bytes. Default 20971520 (20 MiB). As
	// JSON they are a third larger, and the web server in front of Zammad must
	// take that: those of Zammad's packages take 50 MB.
	MessageFileBytes int64 `yaml:"message_file_bytes" env:"MESSAGE_FILE_BYTES"`
	// Largest webhook delivery, in bytes. Default 10485760 (10 MiB); a larger
	// one gets 413, and its ticket is read by reconciliation.
	WebhookBodyBytes int64 `yaml:"webhook_body_bytes" env:"WEBHOOK_BODY_BYTES"`
	// Frees clients on loopback addresses from the limits per address and per
	// region. Default false. Behind a proxy on the same machine it needs trusted_proxies, or
	// nobody is limited.
	ExemptLoopback bool `yaml:"exempt_loopback" env:"EXEMPT_LOOPBACK"`
}

// CORS is for web apps on other origins.
type CORS struct {
	// Origins whose pages may call the device API, such as https://app.example.org.
	// Default *, every origin: the API rests on no cookies. An empty list
	// forbids all.
	Origins []string `yaml:"origins" env:"ORIGINS"`
}

// Jobs says when the clock starts what, in UTC: six cron fields (second minute
// hour day month weekday), or "@every 30s".
type Jobs struct {
	// Removes what is older than the retention. Default "0 17 * * * *", which is
	// once an hour, so that a night without an instance leaves nothing behind.
	Prune string `yaml:"prune" env:"PRUNE"`
	// Reads the recently changed tickets of each Zammad. Default "@every 30s":
	// so late is an answer whose webhook was lost. Each run costs a search.
	Reconcile string `yaml:"reconcile" env:"RECONCILE"`
	// Repairs lanes that wait for nothing. Default "@every 1m".
	OutboxSweep string `yaml:"outbox_sweep" env:"OUTBOX_SWEEP"`
	// Tells the staff of regions who waits for an answer for too long, and people
	// by mail of changes of their accounts. Default "@every 1m": so much later
	// than the region wants may a notice come.
	Alert string `yaml:"alert" env:"ALERT"`
	// Counts chats, messages and answers for the console's numbers. Default
	// "@every 5m": so old they may be.
	Tally string `yaml:"tally" env:"TALLY"`
}

// Retention says how long records are kept that belong to no region's own
// setting (chats: 180 days after the last message unless the region says else).
type Retention struct {
	// Raw webhook deliveries, in days. Default 7.
	DeliveryDays int `yaml:"delivery_days" env:"DELIVERY_DAYS"`
	// Records of who was told which decision of the gate, in days. Default 90.
	ExposureDays int `yaml:"exposure_days" env:"EXPOSURE_DAYS"`
	// Run records of jobs, in days. Default 90.
	JobRunDays int `yaml:"job_run_days" env:"JOB_RUN_DAYS"`
	// Numbers of chats, messages and answers by the hour, in days. Default 1100,
	// three years. They name nobody and stay when the chats themselves go.
	StatisticsDays int `yaml:"statistics_days" env:"STATISTICS_DAYS"`
	// The audit: who changed what, in days. Default 1095, which is three years;
	// 0 keeps it for ever.
	AuditDays int `yaml:"audit_days" env:"AUDIT_DAYS"`
}

// Author is the staff's own chat in the console.
type Author struct {
	// How long its messages are shown and kept, in days. Default 30; the job
	// prune removes what is older, and threads of two persons that are empty then.
	Days int `yaml:"days" env:"DAYS"`
}

// Console is for the pages under /admin/, where people run their chat.
type Console struct {
	// Whether there is a console. Default true. Before there is an account, serve
	// prints a link at each start by which the first one is made.
	Enabled bool `yaml:"enabled" env:"ENABLED"`
	// Address under which people open it, without /admin/, such as
	// https://chat.example.org. Default public_url, and without that the address
	// of listen. One-time links and the OpenID provider lead there. Away from
	// this machine it must be HTTPS: browsers keep no sign-in otherwise.
	URL string `yaml:"url" env:"URL"`
	// How long somebody stays signed in, in hours. Default 12.
	SessionHours int `yaml:"session_hours" env:"SESSION_HOURS"`
	// After how many minutes without a page somebody is signed out. Default 30.
	IdleMinutes int `yaml:"idle_minutes" env:"IDLE_MINUTES"`

	// Who must have a second factor (a code) beside the password: none, operators
	// or all. Default none. Who must and has not is led to set it up, and to
	// nothing else before. Accounts without a password are not asked: make it a
	// duty at their OpenID provider.
	RequireSecondFactor string `yaml:"require_second_factor" env:"REQUIRE_SECOND_FACTOR"`

	OIDC OIDC `yaml:"oidc" envPrefix:"OIDC_"`
}

// OIDC lets an OpenID provider (Keycloak, Entra ID, Authentik and others) prove
// who people are. It never makes accounts.
type OIDC struct {
	// Issuer of the provider, exactly as it calls itself, such as
	// https://id.example.org/realms/city. Default empty: people sign in with
	// passwords only. The provider must send people back to
	// <console.url>/admin/oidc/, and tell a verified e-mail address: an account
	// with that address as login is linked at the first sign-in.
	Issuer string `yaml:"issuer" env:"ISSUER"`
	// Name of Deskbridge at the provider. Default empty.
	ClientID string `yaml:"client_id" env:"CLIENT_ID"`
	// Secret of Deskbridge at the provider. Default empty.
	ClientSecret Secret `yaml:"client_secret" env:"CLIENT_SECRET"`
	// File that holds the secret. Default empty. Setting both is an error.
	ClientSecretFile string `yaml:"client_secret_file" env:"CLIENT_SECRET_FILE"`
	// What the button says after "Sign in with", such as "City of Example".
	// Default empty: the host of the issuer.
	Name string `yaml:"name" env:"NAME"`
}

// Log says what is written to standard error.
type Log struct {
	// debug, info, warn or error. Default info; debug has a line for each poll.
	Level string `yaml:"level" env:"LEVEL"`
	// text or json. Default text.
	Format string `yaml:"format" env:"FORMAT"`
}

// Default gives the settings of an installation that sets none.
func Default() Config {
	return Config{
		Listen:          "127.0.0.1:8080",
		DataDir:         "./data",
		ShutdownTimeout: 20 * time.Second,
		Zammad:          Zammad{WriteHorizon: 300 * time.Second, Concurrency: 4, ReadTimeout: 15 * time.Second, WriteTimeout: time.Minute},
		Egress:          Egress{Allow: []string{}},
		SMTP:            SMTP{Port: 587, Security: "starttls"},
		Limits: Limits{
			WritesPerMinute: 600, ReadsPerMinute: 6000, DeviceWritesPerMinute: 600, DeviceSignalsPerMinute: 600,
			RegionWritesPerMinute: 6000, NewChatsPerMinute: 600, ConnectionsPerAddress: 1000,
			Streams: 10_000, StreamsPerDevice: 4,
			BodyBytes: 1 << 20, Files: 5, FileBytes: 10 << 20, MessageFileBytes: 20 << 20, WebhookBodyBytes: 10 << 20,
		},
		CORS:      CORS{Origins: []string{"*"}},
		Jobs:      Jobs{Prune: "0 17 * * * *", Reconcile: "@every 30s", OutboxSweep: "@every 1m", Alert: "@every 1m", Tally: "@every 5m"},
		Retention: Retention{DeliveryDays: 7, ExposureDays: 90, JobRunDays: 90, StatisticsDays: 1100, AuditDays: 1095},
		Author:    Author{Days: 30},
		Console:   Console{Enabled: true, SessionHours: 12, IdleMinutes: 30, RequireSecondFactor: "none"},
		Log:       Log{Level: "info", Format: "text"},
	}
}
