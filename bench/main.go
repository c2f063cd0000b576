// Command bench measures the doors of Deskbridge against bare net/http handlers
// that do the same work by hand, in the same process and over loopback, and
// counts the calls to Zammad. Run it in the root of the repository:
//
//	go run ./bench
//
// docs/performance.md says what the numbers mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	rounds  int
	length  time.Duration
	only    string
	mysql   string
	profile string
	idle    time.Duration
	serve   string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "pairs of runs that count; one more warms up")
	flag.DurationVar(&o.length, "length", 2*time.Second, "length of each run")
	flag.StringVar(&o.only, "only", "", "only contests whose names begin with this")
	flag.StringVar(&o.mysql, "mysql", os.Getenv("DESKBRIDGE_TEST_MYSQL"), "server for fresh databases, such as mysql://root@127.0.0.1:3306/; empty: skip")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the last contest to this file")
	flag.DurationVar(&o.idle, "idle", 0, "instead of all else, hold 5,000 connections for so long (10m) and compare their memory")
	flag.StringVar(&o.serve, "serve", "", "used by the program itself: be the other process, ours or bare")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	switch {
	case o.serve != "":
		err = serveHolder(ctx, o.serve, os.Stdout)
	case o.idle > 0:
		err = idle(ctx, os.Stdout, o.idle)
	default:
		err = run(ctx, os.Stdout, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// entry is a contest that is made when its turn comes.
type entry struct {
	name  string
	mysql bool
	make  func(context.Context, *places) (contest, error)
}

func entries() []entry {
	return []entry{
		{"accept-sqlite", false, acceptSQLite},
		{"accept-mysql", true, acceptMySQL},
		{"poll-304", false, pollUnchanged},
		{"poll-50-sqlite", false, pollHistorySQLite},
		{"poll-50-mysql", true, pollHistoryMySQL},
		{"webhook-15k", false, webhookSQLite},
		{"pump-100-lanes", false, pumpSQLite},
		{"stall-accept", false, stalledAccept},
		{"stall-poll", false, stalledPoll},
	}
}

// run holds the contests one after the other and prints a row for each. A ratio
// that was missed is no error: machines are noisy, and the row says it.
func run(ctx context.Context, out io.Writer, o options) (err error) {
	dir, err := os.MkdirTemp("", "deskbridge-bench-")
	if err != nil {
		return err
	}
	p := &places{dir: dir, mysql: o.mysql}
	defer func() { err = errors.Join(err, p.clear()) }()
	fmt.Fprintf(out, "%s, %d processors, %d clients, %d pairs of %s; requests a second (medians)\n\n", runtime.Version(), runtime.NumCPU(), clients, o.rounds, o.length)
	fmt.Fprintf(out, "%-16s %10s %10s %8s %16s %7s\n", "", "ours", "bare", "ratio", "from … to", "asked")
	for _, e := range entries() {
		if !strings.HasPrefix(e.name, o.only) {
			continue
		}
		if e.mysql && o.mysql == "" {
			fmt.Fprintf(out, "%-16s skipped: no server is named (-mysql or DESKBRIDGE_TEST_MYSQL)\n", e.name)
			continue
		}
		if err := hold(ctx, out, e, p, o); err != nil {
			return err
		}
	}
	if err := printStreams(ctx, out, p, o); err != nil {
		return err
	}
	if err := printConsole(ctx, out, p, o); err != nil {
		return err
	}
	if err := printMemory(ctx, out, o); err != nil {
		return err
	}
	if !strings.HasPrefix("calls", o.only) {
		return nil
	}
	return printCalls(ctx, out)
}

// hold holds one contest.
func hold(ctx context.Context, out io.Writer, e entry, p *places, o options) (err error) {
	c, err := e.make(ctx, p)
	if err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if o.profile != "" {
		stop, err := profile(o.profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	r, err := c.run(ctx, o.rounds, o.length)
	if err != nil {
		return err
	}
	ratio, verdict := median(r.ratio), "met"
	if ratio < c.want && !c.atMost || ratio > c.want && c.atMost {
		verdict = "MISSED"
	}
	fmt.Fprintf(out, "%-16s %10.0f %10.0f %8.2f %16s %7.1f %s\n", c.name, median(r.ours), median(r.bare), ratio,
		fmt.Sprintf("%.2f … %.2f", slices.Min(r.ratio), slices.Max(r.ratio)), c.want, verdict)
	if c.note != nil {
		fmt.Fprintf(out, "%-16s %s\n", "", c.note())
	}
	return nil
}

// profile writes down where the time goes until stop.
func profile(path string) (stop func(), err error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = file.Close() // nothing of value is lost
	}, nil
}
