package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// held is how many connections are measured at a time.
const held = 1000

// holder is a process of its own that keeps connections open, so that its memory
// is theirs.
type holder struct {
	process *exec.Cmd
	address string
}

// hold starts this program again as a server; kind is ours or bare.
func newHolder(ctx context.Context, kind string) (*holder, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	h := &holder{process: exec.CommandContext(ctx, self, "-serve", kind)}
	h.process.Stderr = os.Stderr
	out, err := h.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.process.Start(); err != nil {
		return nil, err
	}
	h.address, err = bufio.NewReader(out).ReadString('\n')
	h.address = strings.TrimSpace(h.address)
	return h, err
}

func (h *holder) close() error {
	_ = h.process.Process.Signal(os.Interrupt) // it may have ended
	var exit *exec.ExitError
	if err := h.process.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// resident asks the process for its resident memory in KB, after it gave back
// what it does not need.
func (h *holder) resident() (int, error) {
	answer, err := http.Get("http://" + h.address + "/resident")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// serveHolder is the other process.
func serveHolder(ctx context.Context, kind string, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "deskbridge-hold-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var handler http.Handler = newBareHub()
	if kind == "ours" {
		s, err := newStack(ctx, "sqlite:"+filepath.Join(dir, "hold.db"))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.close()) }()
		handler = s.handler
	}
	address, stop, err := listen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/resident" {
			handler.ServeHTTP(w, r)
			return
		}
		for range 5 { // each halves the stacks that are too large
			debug.FreeOSMemory()
		}
		kb, err := residentKB()
		if err != nil {
			failBare(w, err)
			return
		}
		answerBare(w, strconv.AppendInt(nil, int64(kb), 10))
	}))
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintln(out, address)
	<-ctx.Done()
	return nil
}

func residentKB() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			return strconv.Atoi(fields[1])
		}
	}
	return 0, errors.New("no VmRSS in /proc/self/status")
}

// openMany opens streams of devices, half of them or all by socket, and waits
// for the first word of each. They end with stop.
func openMany(ctx context.Context, address, way string, from, n int) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		if err != nil {
			cancel()
		}
	}()
	for i := range n {
		path := fmt.Sprintf("/api/v3/%s/%s/chat/device-%d/", slug, language, from+i)
		if way == "socket" || way == "both" && i%2 == 0 {
			conn, _, err := websocket.Dial(ctx, "http://"+address+path+"socket/", nil)
			if err != nil {
				return nil, err
			}
			if _, _, err := conn.Read(ctx); err != nil {
				return nil, err
			}
			conn.CloseRead(ctx) // answers pings
			continue
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { _ = conn.Close() })
		if _, err := fmt.Fprintf(conn, "GET %sevents/ HTTP/1.1\r\nHost: bench\r\n\r\n", path); err != nil {
			return nil, err
		}
		reader := bufio.NewReaderSize(conn, 512)
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				return nil, err
			}
			if strings.HasPrefix(line, "data:") {
				break
			}
		}
		go io.Copy(io.Discard, conn) //nolint:errcheck // it ends with the connection
	}
	return cancel, nil
}

// perConnection measures the memory of one connection in KB, in a process that
// has seen some before.
func perConnection(ctx context.Context, kind, way string) (_ float64, err error) {
	h, err := newHolder(ctx, kind)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	stopWarm, err := openMany(ctx, h.address, way, held, held/10)
	if err != nil {
		return 0, err
	}
	defer stopWarm()
	before, err := h.resident()
	if err != nil {
		return 0, err
	}
	stop, err := openMany(ctx, h.address, way, 0, held)
	if err != nil {
		return 0, err
	}
	defer stop()
	after, err := h.resident()
	return float64(after-before) / held, err
}

// printMemory compares what connections cost.
func printMemory(ctx context.Context, out io.Writer, o options) error {
	for _, way := range []string{"events", "socket"} {
		if !strings.HasPrefix("memory-"+way, o.only) {
			continue
		}
		var ours, bare, ratios []float64
		for range o.rounds {
			a, err := perConnection(ctx, "ours", way)
			if err != nil {
				return fmt.Errorf("memory-%s: %w", way, err)
			}
			b, err := perConnection(ctx, "bare", way)
			if err != nil {
				return fmt.Errorf("memory-%s, bare: %w", way, err)
			}
			ours, bare, ratios = append(ours, a), append(bare, b), append(ratios, a/b)
		}
		printAtMost(out, "memory-"+way, "KB", ours, bare, ratios, 1.15)
	}
	return nil
}

// printAtMost prints a row where less is better.
func printAtMost(out io.Writer, name, unit string, ours, bare, ratios []float64, most float64) {
	verdict := "met"
	if median(ratios) > most {
		verdict = "MISSED"
	}
	fmt.Fprintf(out, "%-16s %7.1f %-2s %7.1f %-2s %8.2f %16s %7.2f %s\n", name, median(ours), unit, median(bare), unit, median(ratios),
		fmt.Sprintf("%.2f … %.2f", slices.Min(ratios), slices.Max(ratios)), most, verdict)
}

// idle holds 5,000 connections without news, half of each kind, and compares the
// memory at the end with that after a minute.
func idle(ctx context.Context, out io.Writer, length time.Duration) (err error) {
	const connections = 5000
	h, err := newHolder(ctx, "ours")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	stop, err := openMany(ctx, h.address, "both", 0, connections)
	if err != nil {
		return err
	}
	defer stop()
	wait := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := wait(time.Minute); err != nil {
		return err
	}
	first, err := h.resident()
	if err != nil {
		return err
	}
	if err := wait(length - time.Minute); err != nil {
		return err
	}
	last, err := h.resident()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d connections: %d KB after a minute, %d KB after %s: %.3f (at most 1.05)\n", connections, first, last, length, float64(last)/float64(first))
	return nil
}
