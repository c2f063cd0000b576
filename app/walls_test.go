package app

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/storage/storagetest"
)

// stalled is a Zammad that takes requests and answers none until it is released;
// then it carries all of them out.
type stalled struct {
	*httptest.Server
	release func()

	mu   sync.Mutex
	held int
}

func newStalled(t *testing.T, target string) *stalled {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	released := make(chan struct{})
	s := &stalled{release: sync.OnceFunc(func() { close(released) })}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.add(1)
		<-released
		s.add(-1)
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context())) // even for clients that have gone
		defer cancel()
		proxy.ServeHTTP(w, r.WithContext(ctx))
	}))
	t.Cleanup(func() { s.release(); s.Close() })
	return s
}

func (s *stalled) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held += n
}

func (s *stalled) holds() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// sendTo sends a message of a device into a region.
func (w *world) sendTo(region, device, text string) {
	w.t.Helper()
	answer, err := http.PostForm(w.bridge.origin+"/api/v3/"+region+"/de/chat/"+device+"/", url.Values{"message": {text}})
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		w.t.Fatalf("%s in %s: %d", device, region, answer.StatusCode)
	}
}

// carried gives the messages of the tickets whose first message begins so, one
// ticket each.
func (w *world) carried(prefix string) map[string][]string {
	w.t.Helper()
	out := make(map[string][]string)
	for _, ticket := range w.tickets() {
		articles, err := w.admin.Articles.OfTicket(w.t.Context(), ticket.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		var texts []string
		for _, a := range articles {
			texts = append(texts, a.Body)
		}
		if len(texts) > 0 && strings.HasPrefix(texts[0], prefix) {
			out[texts[0]] = texts
		}
	}
	return out
}

// A Zammad that hangs holds its own region's workers and nobody else's; when it
// answers again, its backlog arrives in order and once.
func TestAStalledRegionDelaysNoOther(t *testing.T) {
	storagetest.EachURL(t, func(t *testing.T, url string) {
		// Calls are cut off soon, but carried out in the end, so the horizon must be
		// longer than the stall.
		w := newWorld(t, url, "DESKBRIDGE_ZAMMAD_WRITE_TIMEOUT=1s", "DESKBRIDGE_ZAMMAD_WRITE_HORIZON=60s")
		zammad := newStalled(t, w.line.URL)
		region := &bridge.Region{
			Slug: "stalled", Name: "Stalled", Enabled: true,
			Settings: bridge.RegionSettings{
				Languages: []bridge.Language{{Code: "de"}}, Percentage: 100,
				ZammadURL: zammad.URL, ZammadGroup: w.access.Group,
			}.WithDefaults(),
			ZammadToken: bridge.Secret(w.access.BridgeToken), WebhookSecret: "signature-of-tests",
		}
		if err := w.bridge.app.Store.AddRegion(t.Context(), region); err != nil {
			t.Fatal(err)
		}
		if err := w.bridge.app.Regions.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		const devices, messages = 12, 3 // more than a desk has workers
		for n := range messages {
			for d := range devices {
				w.sendTo("stalled", fmt.Sprintf("waiting-%d", d), fmt.Sprintf("waits %02d %d", d, n))
			}
		}
		waitFor(t, func() error {
			if n := zammad.holds(); n < 4 { // its limiter's number
				return fmt.Errorf("%d calls hang", n)
			}
			return nil
		})

		began := time.Now()
		for d := range devices {
			w.sendTo(demoRegion, fmt.Sprintf("quick-%d", d), fmt.Sprintf("quick %02d", d))
		}
		waitFor(t, func() error {
			if n := len(w.carried("quick")); n != devices {
				return fmt.Errorf("%d of %d messages of the other region arrived", n, devices)
			}
			return nil
		})
		if n := zammad.holds(); n == 0 {
			t.Error("the stalled Zammad answered meanwhile, so nothing is proved")
		}
		// Far below the 15 s of the shortest time-out: nobody waited for one.
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the other region's messages took %s", took)
		}

		zammad.release()
		var got map[string][]string
		waitFor(t, func() error {
			got = w.carried("waits")
			whole := 0
			for _, texts := range got {
				if len(texts) == messages {
					whole++
				}
			}
			if whole != devices {
				return fmt.Errorf("%d of %d chats have arrived: %v", whole, devices, got)
			}
			return nil
		})
		for d := range devices {
			var want []string
			for n := range messages {
				want = append(want, fmt.Sprintf("waits %02d %d", d, n))
			}
			if !slices.Equal(got[want[0]], want) {
				t.Errorf("the ticket of %q holds %q", want[0], got[want[0]])
			}
		}
		if n := len(w.tickets()); n != 2*devices {
			t.Errorf("%d tickets, want %d", n, 2*devices)
		}
	})
}
