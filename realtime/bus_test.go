package realtime

import (
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
)

// redisURL gives the Redis for tests; without one the test is skipped at home
// and fails where the full suite is required.
func redisURL(t *testing.T) string {
	t.Helper()
	url := os.Getenv("DESKBRIDGE_TEST_REDIS")
	if url == "" {
		if os.Getenv("DESKBRIDGE_TEST_REQUIRED") != "" {
			t.Fatal("DESKBRIDGE_TEST_REDIS is not set, but the full suite is required")
		}
		t.Skip("set DESKBRIDGE_TEST_REDIS=redis://127.0.0.1:6379 to run this test")
	}
	return url
}

// runBus starts a bus and gives what it receives.
func runBus(t *testing.T, url string) (*Bus, <-chan bridge.Change) {
	t.Helper()
	bus, err := NewBus(url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	received := make(chan bridge.Change, 100_000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- bus.Run(ctx, func(changes []bridge.Change) {
			for _, c := range changes {
				received <- c
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return bus, received
}

func TestBusCarriesChangesBetweenInstances(t *testing.T) {
	url := redisURL(t)
	one, _ := runBus(t, url)
	_, atTwo := runBus(t, url)
	want := bridge.Change{Region: 7, Device: bridge.DeviceHash{1, 2, 3}, Seq: bridge.Seq(time.Now().UnixNano())}
	// The subscription needs a moment, so the notice is repeated until it is heard.
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case got := <-atTwo:
			if got.Seq == want.Seq {
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatal(diff)
				}
				return
			}
		case <-again.C:
			one.Send([]bridge.Change{want})
		case <-deadline:
			t.Fatal("the other instance heard nothing")
		}
	}
}

func TestSendNeverBlocksWithoutRedis(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close() // nobody listens there any more
	bus, _ := runBus(t, "redis://"+address)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range busQueue * 3 {
			bus.Send([]bridge.Change{{Region: 1, Seq: 1}})
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("Send blocks while Redis is away")
	}
	if err := bus.Ping(t.Context()); err == nil {
		t.Fatal("Ping says that a dead Redis answers")
	}
}

func TestNewBusRefusesBadURLs(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:6379", "http://127.0.0.1", "redis://", "redis://user:p%zz@host"} {
		if _, err := NewBus(url, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("NewBus(%q) takes it", url)
		} else if strings.Contains(err.Error(), "zz") {
			t.Errorf("the error shows the URL: %v", err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode([]bridge.Change{{Region: 1, Seq: 2, Device: bridge.DeviceHash{3}}}))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		changes, err := decode(data)
		if err != nil {
			return
		}
		if got := encode(changes); string(got) != string(data) {
			t.Fatalf("%x became %x", data, got)
		}
	})
}
