package device

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
	"deskbridge/server"
)

func TestStreamTickets(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	door := New(Deps{TokenKey: []byte("a key"), Now: func() time.Time { return now }})
	who := func(region bridge.RegionID, device byte) *caller {
		return &caller{region: &bridge.Region{ID: region}, device: bridge.DeviceHash{device}}
	}
	good := door.seal.ticket(who(1, 1), now.Add(ticketLife))
	other := New(Deps{TokenKey: []byte("another key"), Now: door.Now})
	stamp, mac, _ := strings.Cut(good, "..")
	proved := func(c *caller) *caller {
		c.until = now.Add(time.Hour)
		return c
	}
	signed := door.seal.ticket(proved(who(1, 1)), now.Add(ticketLife))
	signedMAC := signed[strings.LastIndex(signed, ".")+1:]
	for name, c := range map[string]struct {
		ticket string
		after  time.Duration
		who    *caller
		want   bool
	}{
		"good":              {good, 0, who(1, 1), true},
		"good to the last":  {good, 59 * time.Second, who(1, 1), true},
		"expired":           {good, 60 * time.Second, who(1, 1), false},
		"long expired":      {good, time.Hour, who(1, 1), false},
		"another device":    {good, 0, who(1, 2), false},
		"another region":    {good, 0, who(2, 1), false},
		"another server":    {other.seal.ticket(who(1, 1), now.Add(ticketLife)), 0, who(1, 1), false},
		"from the future":   {door.seal.ticket(who(1, 1), now.Add(ticketLife+clockSkew+time.Second)), 0, who(1, 1), false},
		"prolonged":         {strconv.FormatInt(now.Add(2*time.Minute).Unix(), 36) + ".." + mac, 0, who(1, 1), false},
		"written otherwise": {strings.ToUpper(stamp) + ".." + mac, 0, who(1, 1), false},
		"signed":            {signed, 0, who(1, 1), true},
		"of longer proof":   {stamp + "." + strconv.FormatInt(now.Add(2*time.Hour).Unix(), 36) + "." + signedMAC, 0, who(1, 1), false},
		"of endless proof":  {stamp + ".." + signedMAC, 0, who(1, 1), false},
		"of later proof":    {stamp + "." + strconv.FormatInt(now.Add(time.Hour).Unix(), 36) + "." + mac, 0, who(1, 1), false},
		"of garbled proof":  {stamp + ".!." + mac, 0, who(1, 1), false},
		"of the older kind": {stamp + "." + mac, 0, who(1, 1), false},
		"without a mac":     {stamp + "..", 0, who(1, 1), false},
		"empty":             {"", 0, who(1, 1), false},
		"garbage":           {"\x00.\xff", 0, who(1, 1), false},
		"huge number":       {strings.Repeat("z", 1000) + ".." + mac, 0, who(1, 1), false},
		"negative":          {"-" + stamp + ".." + mac, 0, who(1, 1), false},
		"a chat token":      {stamp + ".." + door.seal.chatToken(who(1, 1), stamp), 0, who(1, 1), false},
	} {
		if got := door.seal.checkTicket(c.who, c.ticket, now.Add(c.after)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	opened := who(1, 1)
	if door.seal.checkTicket(opened, signed, now); !opened.until.Equal(now.Add(time.Hour)) {
		t.Errorf("a stream that a ticket opens lasts until %s, want as long as the token counts", opened.until)
	}
}

type oneRegion struct{ *bridge.Region }

func (r oneRegion) BySlug(string) (*bridge.Region, bool) { return r.Region, true }
func (r oneRegion) All() []*bridge.Region                { return []*bridge.Region{r.Region} }

// A ticket takes the place of the tokens on streams, and of nothing else.
func TestAStreamOpensWithATicket(t *testing.T) {
	t.Parallel()
	region := &bridge.Region{ID: 1, Enabled: true, ZammadToken: "t", Settings: bridge.RegionSettings{
		ZammadURL: "http://127.0.0.1:1", Languages: []bridge.Language{{Code: "de"}}, Identity: bridge.IdentityEnforce,
	}}
	door := New(Deps{
		TokenKey: []byte("a key"), Now: time.Now, Hasher: bridge.NewHasher([]byte("k")), Regions: oneRegion{region},
		Identities: refusing{}, Chats: tokenless{},
	})
	frame, err := server.New(server.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for path, who := range map[string]func(*gin.Context) (caller, error){"/:x/:y/:device/events/": door.streamCaller, "/:x/:y/:device/read/": door.caller} {
		frame.Engine().GET(path, server.H(func(c *gin.Context) error {
			_, err := who(c)
			return err
		}))
	}
	issued := func(until time.Time) string {
		return door.seal.ticket(&caller{region: region, device: door.Hasher.Hash("d1"), until: until}, time.Now().Add(ticketLife))
	}
	ticket := issued(time.Now().Add(time.Hour))
	for path, want := range map[string]int{
		"/r/de/d1/events/?ticket=" + ticket:                               http.StatusOK,
		"/r/de/d2/events/?ticket=" + ticket:                               http.StatusUnauthorized,
		"/r/de/d1/events/?ticket=" + issued(time.Now().Add(-time.Minute)): http.StatusUnauthorized, // its token has expired
		"/r/de/d1/events/?ticket=" + issued(time.Time{}):                  http.StatusUnauthorized, // of before the region asked
		"/r/de/d1/events/?ticket=":                                        http.StatusUnauthorized,
		"/r/de/d1/events/":                                                http.StatusUnauthorized,
		"/r/de/d1/read/?ticket=" + ticket:                                 http.StatusUnauthorized,
		"/r/en/d1/events/?ticket=" + ticket:                               http.StatusNotFound,
		"/r/de/d%20/events/?ticket=" + ticket:                             http.StatusBadRequest,
		"/r/de/d1/events/?ticket=x&since=" + "":                           http.StatusUnauthorized,
	} {
		recorder := httptest.NewRecorder()
		frame.Engine().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
		if recorder.Code != want {
			t.Errorf("%s: %d, want %d: %s", path, recorder.Code, want, recorder.Body)
		}
	}
}

// refusing knows nobody.
type refusing struct{}

func (refusing) Check(context.Context, *bridge.Region, string, string) (time.Time, error) {
	return time.Time{}, bridge.ErrIdentityMissing
}

// tokenless knows devices without a chat token.
type tokenless struct{ Chats }

func (tokenless) Token(context.Context, *bridge.Region, bridge.DeviceHash) (bridge.TokenHash, bridge.Seq, error) {
	return bridge.TokenHash{}, 0, nil
}
