package reliability

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// process is a running program of ours. It is ended with the test, by its own
// process number.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdout output
	stderr output
	ended  chan struct{} // closed when it is gone; cmd.ProcessState is set then
}

// output keeps what a process says.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// tail gives the last words, for reports.
func (o *output) tail() string {
	text := o.String()
	if len(text) > 4000 {
		text = "…" + text[len(text)-4000:]
	}
	return text
}

// start starts a program with exactly this environment.
func start(t *testing.T, name string, environ []string, path string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "GORACE=halt_on_error=1"}, environ...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code tells the same
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said last:\n%s%s", name, p.stdout.tail(), p.stderr.tail())
		}
	})
	return p
}

// kill ends the process without a warning and waits until it is gone.
func (p *process) kill() { p.signal(syscall.SIGKILL) }

func (p *process) signal(s syscall.Signal) {
	if p.running() {
		_ = p.cmd.Process.Signal(s) // it may be gone in this moment
	}
	<-p.ended
}

// freeze stops the process where it is; thaw lets it go on.
func (p *process) freeze() { p.tell(syscall.SIGSTOP) }
func (p *process) thaw()   { p.tell(syscall.SIGCONT) }

func (p *process) tell(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// stop ends the process in good order and wants exit code 0.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("%s ended with %d after SIGTERM", p.name, code)
	}
}

// says waits until the process has written something to one of its outputs,
// and gives what stands between the words before and after.
func (p *process) says(from *output, before, after string) string {
	p.t.Helper()
	var found string
	await(p.t, p.name+" says "+strconv.Quote(before), func() error {
		if _, rest, ok := strings.Cut(from.String(), before); ok {
			if text, _, ok := strings.Cut(rest, after); ok {
				found = text
				return nil
			}
		}
		if !p.running() {
			return &hopeless{fmt.Errorf("it ended with %d:\n%s", p.cmd.ProcessState.ExitCode(), p.stderr.tail())}
		}
		return fmt.Errorf("it said:\n%s", from.tail())
	})
	return found
}

// listenApart listens on a free port beneath those that the system gives to
// outgoing connections, so that the port stays free while nobody listens.
func listenApart(t *testing.T) net.Listener {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(12000+rand.IntN(20000))))
		if err == nil {
			return l
		}
	}
	t.Fatal("no free port")
	return nil
}

// freeAddress gives an address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l := listenApart(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// passage carries TCP connections from a fixed address to one of its targets,
// as a load balancer or a network does. It can be closed for a while: then
// connections are cut and new ones refused.
type passage struct {
	t       *testing.T
	address string
	serving sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil: closed
	targets  []string
	next     int
	open     map[net.Conn]bool
}

func newPassage(t *testing.T, targets ...string) *passage {
	t.Helper()
	l := listenApart(t)
	p := &passage{t: t, address: l.Addr().String(), targets: targets, open: make(map[net.Conn]bool)}
	p.serve(l)
	t.Cleanup(func() { p.cut(); p.serving.Wait() })
	return p
}

func (p *passage) serve(l net.Listener) {
	p.mu.Lock()
	p.listener = l
	p.mu.Unlock()
	p.serving.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return // closed
			}
			p.serving.Go(func() { p.carry(from) })
		}
	})
}

// lead sends new connections to other targets from now on.
func (p *passage) lead(targets ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.targets = targets
}

// cut closes the passage.
func (p *passage) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for c := range p.open {
		_ = c.Close()
	}
}

// mend opens it again.
func (p *passage) mend() {
	p.t.Helper()
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.serve(l)
}

func (p *passage) carry(from net.Conn) {
	defer from.Close()
	to := p.dial()
	if to == nil || !p.note(from, to) {
		return
	}
	defer p.forget(from, to)
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		both.Go(func() {
			_, _ = io.Copy(way[1], way[0]) // its end is all that matters
			_ = from.Close()
			_ = to.Close()
		})
	}
	both.Wait()
}

// dial tries the targets in turn.
func (p *passage) dial() net.Conn {
	p.mu.Lock()
	targets := p.targets
	p.next++
	first := p.next
	p.mu.Unlock()
	for i := range targets {
		if c, err := net.Dial("tcp", targets[(first+i)%len(targets)]); err == nil {
			return c
		}
	}
	return nil
}

// note remembers a pair of connections, unless the passage is closed.
func (p *passage) note(pair ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range pair {
		if p.listener == nil {
			_ = c.Close()
		} else {
			p.open[c] = true
		}
	}
	return p.listener != nil
}

func (p *passage) forget(pair ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range pair {
		_ = c.Close()
		delete(p.open, c)
	}
}
