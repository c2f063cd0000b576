package bridge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowReader reads a body as the ticket's number, once gate is open. A body that
// begins with "!" makes it panic.
type slowReader struct {
	gate chan struct{}

	mu   sync.Mutex
	read []string
}

func (d *slowReader) readDelivery(body []byte) (Ticket, error) {
	<-d.gate
	d.mu.Lock()
	d.read = append(d.read, string(body[:min(len(body), 8)]))
	d.mu.Unlock()
	if body[0] == '!' {
		panic("unreadable")
	}
	var t Ticket
	if _, err := fmt.Sscan(string(body), &t.ID); err != nil {
		return Ticket{}, errors.New("no number")
	}
	return t, nil
}

// reads gives what was read so far, sorted.
func (d *slowReader) reads() []string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(slices.Values(d.read))
}

func testAhead(t *testing.T, open bool, test func(t *testing.T, d *slowReader, a *ahead)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &slowReader{gate: make(chan struct{})}
		if open {
			close(d.gate)
		}
		test(t, d, &ahead{read: d.readDelivery})
	})
}

func wantTicket(t *testing.T, a *ahead, body string, want TicketID) {
	t.Helper()
	if got, err := a.ticket([]byte(body)); err != nil || got.ID != want {
		t.Errorf("%.8s: ticket %d, %v; want %d", body, got.ID, err, want)
	}
}

func TestADeliveryIsReadWhileItIsStored(t *testing.T) {
	testAhead(t, false, func(t *testing.T, d *slowReader, a *ahead) {
		a.begin([]byte("7"), time.Now())
		taken := make(chan struct{})
		go func() {
			defer close(taken)
			wantTicket(t, a, "7", 7) // waits for the reading that goes on
		}()
		synctest.Wait()
		close(d.gate)
		<-taken
		if got := d.reads(); !slices.Equal(got, []string{"7"}) {
			t.Errorf("read %q; want it once", got)
		}
		wantTicket(t, a, "7", 7) // a repeat: nobody keeps what was read
		if got := d.reads(); !slices.Equal(got, []string{"7", "7"}) {
			t.Errorf("read %q; want the repeat read anew", got)
		}
	})
}

func TestAReadingIsOfExactlyItsBytes(t *testing.T) {
	testAhead(t, true, func(t *testing.T, d *slowReader, a *ahead) {
		a.begin([]byte("7"), time.Now())
		wantTicket(t, a, "7 ", 7)
		wantTicket(t, a, "8", 8)
		if got := d.reads(); !slices.Equal(got, []string{"7", "7 ", "8"}) {
			t.Errorf("read %q", got)
		}
	})
}

func TestFewAreReadAhead(t *testing.T) {
	testAhead(t, true, func(t *testing.T, d *slowReader, a *ahead) {
		for n := range aheadMost + 3 {
			a.begin([]byte{byte('1' + n)}, time.Now())
		}
		a.begin([]byte(strings.Repeat("9", aheadLargest+1)), time.Now().Add(time.Hour))
		if got := d.reads(); !slices.Equal(got, []string{"1", "2", "3", "4"}) {
			t.Errorf("read %q", got)
		}
		a.begin([]byte("6"), time.Now().Add(aheadKept+1)) // nobody came for the others
		if got := d.reads(); !slices.Equal(got, []string{"1", "2", "3", "4", "6"}) {
			t.Errorf("read %q; the places of old readings are not free", got)
		}
	})
}

func TestWhatCannotBeReadAheadIsReadByWhoeverHandlesThat(t *testing.T) {
	testAhead(t, true, func(t *testing.T, d *slowReader, a *ahead) {
		a.begin([]byte("?"), time.Now())
		if _, err := a.ticket([]byte("?")); err == nil {
			t.Error("no error for a body that cannot be read")
		}
		a.begin([]byte("!"), time.Now())
		synctest.Wait() // a panic there would end the process
		defer func() {
			if recover() == nil {
				t.Error("the panic is lost")
			}
			if got := d.reads(); !slices.Equal(got, []string{"!", "!", "?", "?"}) {
				t.Errorf("read %q", got)
			}
		}()
		_, _ = a.ticket([]byte("!"))
	})
}
