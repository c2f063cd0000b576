package device_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/go-jose/go-jose/v4"

	"deskbridge/bridge"
	"deskbridge/device"
	"deskbridge/identity"
	"deskbridge/server"
)

const identitySecret = "a shared secret of thirty-two bytes and more"

// addRegion adds a region to those of every world.
func (w *world) addRegion(slug string, change func(*bridge.Region)) {
	w.t.Helper()
	r := theRegions()[0]
	r.Slug, r.Salt = slug, slug
	change(r)
	if err := w.store.AddRegion(context.Background(), r); err != nil {
		w.t.Fatal(err)
	}
	if err := w.regions.Reload(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// signed makes a token that names a device.
func signed(t testing.TB, deviceID string, expires time.Time) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(identitySecret)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{"sub": deviceID, "exp": expires.Unix()})
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// chatRoutes are all routes of one device's chat, as they are mounted.
func chatRoutes(t testing.TB, region, deviceID string) (routes [][2]string) {
	t.Helper()
	frame, err := server.New(server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	device.New(device.Deps{}).Routes(frame.Limited(), frame.Limited())
	fill := strings.NewReplacer(":x", region, ":y", "de", ":device", deviceID, ":id", "1")
	for _, r := range frame.Engine().Routes() {
		if strings.Contains(r.Path, "/chat/:device/") && r.Method != http.MethodHead {
			routes = append(routes, [2]string{r.Method, fill.Replace(r.Path)})
		}
	}
	if len(routes) < 10 {
		t.Fatalf("only %d routes of a chat were found: %v", len(routes), routes)
	}
	return routes
}

func TestEveryChatRouteWantsTheIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addRegion("signed", func(r *bridge.Region) {
		r.Settings.Identity, r.IdentitySecret = bridge.IdentityEnforce, identitySecret
	})
	later := time.Now().Add(time.Hour)
	for _, c := range []struct{ authorization, code string }{
		{"", "identity_required"},
		{"Basic dXNlcjpwYXNz", "identity_required"},
		{"Bearer garbage", "identity_invalid"},
		{"Bearer " + signed(t, "another", later), "identity_invalid"},
		{"Bearer " + signed(t, "d1", time.Now().Add(-time.Hour)), "identity_expired"},
	} {
		for _, route := range chatRoutes(t, "signed", "d1") {
			got := w.do(route[0], route[1], "message=x", "Content-Type", form, "Authorization", c.authorization)
			if got.status != http.StatusUnauthorized || got.code(t) != c.code || got.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s %s with %.10q: %d %s, want 401 %s", route[0], route[1], c.authorization, got.status, got.body, c.code)
			}
		}
	}
	if n := w.messages("signed"); n != 0 {
		t.Fatalf("%d messages were stored without an identity", n)
	}
	bearer := []string{"Authorization", "bearer " + signed(t, "d1", later)}
	w.post(chatPath("signed", "de", "d1"), "message=Hallo", bearer...).state(t)
	w.get(chatPath("signed", "de", "d1"), bearer...).state(t)
	// With one's own token, not even by percent encoding another's chat.
	if got := w.get(chatPath("signed", "de", "d%32"), bearer...); got.status != http.StatusUnauthorized {
		t.Errorf("another device with this token: %d", got.status)
	}
}

// follow reads a stream or a waiting poll to its end; heard gets what has come
// so far. The code is the answer's status, or a socket's close code.
func follow(t *testing.T, address string, header http.Header, heard func(string)) (text string, code int, reason string) {
	if strings.Contains(address, "/socket/") {
		conn, _, err := websocket.Dial(t.Context(), address, &websocket.DialOptions{HTTPHeader: header})
		for err == nil {
			var frame []byte
			_, frame, err = conn.Read(t.Context())
			text += string(frame)
			heard(text)
		}
		var closed websocket.CloseError
		if !errors.As(err, &closed) {
			t.Errorf("the socket ends with %v", err)
		}
		return text, int(closed.Code), closed.Reason
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Error(err)
		return "", 0, ""
	}
	request.Header = header
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return "", 0, ""
	}
	defer answer.Body.Close()
	for piece := make([]byte, 4096); err == nil; {
		var n int
		n, err = answer.Body.Read(piece)
		text += string(piece[:n])
		heard(text)
	}
	return text, answer.StatusCode, answer.Header.Get("WWW-Authenticate")
}

// What was opened with a signed token, or with a ticket that one has bought, ends
// with the token, and tells nothing of what comes later.
func TestStreamsEndWithTheIdentity(t *testing.T) {
	t.Parallel()
	var clock atomic.Pointer[time.Time]
	set := func(at time.Time) { clock.Store(&at) }
	now := func() time.Time { return *clock.Load() }
	began := time.Now().Truncate(time.Second)
	set(began)
	w := newWorld(t, func(deps *device.Deps, _ *server.Config) {
		deps.Now = now
		deps.Identities = identity.New(identity.Config{Log: slog.New(slog.DiscardHandler), Now: now})
	})
	w.addRegion("signed", func(r *bridge.Region) {
		r.Settings.Identity, r.IdentitySecret = bridge.IdentityEnforce, identitySecret
	})
	bearer := func(id string, expires time.Time) http.Header {
		return http.Header{"Authorization": {"Bearer " + signed(t, id, expires)}}
	}
	expires := began.Add(time.Hour)
	// Nothing ever wakes the streams of a device without a chat.
	busy, quiet, poll := chatPath("signed", "de", "d1"), chatPath("signed", "de", "d2"), chatPath("signed", "de", "d3")
	long := bearer("d1", expires.Add(time.Hour)).Get("Authorization")
	w.post(busy, "message=before", "Authorization", long).state(t)

	set(expires.Add(time.Minute - 3*time.Second)) // the last moments, clocks that differ included
	var issued struct{ Ticket string }
	decode(t, w.post(quiet+"stream-ticket/", "", "Authorization", bearer("d2", expires).Get("Authorization")).body, &issued)
	rows := []struct {
		address string
		header  http.Header
		code    int
		reason  string
	}{
		{quiet + "events/", bearer("d2", expires), http.StatusOK, ""},
		{quiet + "socket/", bearer("d2", expires), 4001, "identity_expired"},
		{quiet + "events/?ticket=" + issued.Ticket, nil, http.StatusOK, ""},
		{quiet + "socket/?ticket=" + issued.Ticket, nil, 4001, "identity_expired"},
		{busy + "socket/", bearer("d1", expires), 4001, "identity_expired"},
		{poll + "?wait=60&since=0", bearer("d3", expires), http.StatusUnauthorized, "Bearer"},
	}
	begun, ended := make(chan string, len(rows)), make(chan string, len(rows))
	for i, c := range rows {
		if i == len(rows)-1 { // the poll, which would answer when its time is over, comes last
			for range i {
				<-begun
			}
		}
		go func() {
			first := sync.OnceFunc(func() { begun <- c.address })
			text, code, reason := follow(t, w.url+c.address, c.header, func(text string) {
				if strings.Contains(text, `"chat"`) {
					first()
				}
			})
			if code != c.code || reason != c.reason || strings.Contains(text, "after") {
				t.Errorf("%s ends with %d %q, want %d %q, after %s", c.address, code, reason, c.code, c.reason, text)
			}
			if code == http.StatusUnauthorized && !strings.Contains(text, "identity_expired") {
				t.Errorf("the poll ends with %s", text)
			}
			ended <- c.address
		}()
	}
	eventually(t, "the poll waits", func() bool { return w.marks.Watched() == 3 })
	set(expires.Add(time.Minute + time.Millisecond))
	w.post(busy, "message=after", "Authorization", long).state(t)
	for range rows {
		select {
		case <-ended:
		case <-time.After(15 * time.Second): // sooner than a beat
			t.Fatal("something goes on without a token that counts")
		}
	}
	if got := w.get(quiet + "events/?ticket=" + issued.Ticket); got.status != http.StatusUnauthorized || got.code(t) != "identity_expired" {
		t.Errorf("the ticket, once its token has expired: %d %s", got.status, got.body)
	}
}

// A region that begins to ask ends what was opened before.
func TestStreamsEndWhenTheIdentityIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	device.Hasten(w.door, 20*time.Millisecond, 10*time.Second)
	heard := make(chan wireFrame, 100)
	socket := w.listen(openSocket, chatPath("testland", "de", "d1"), newReplica(), heard)
	next(t, heard)
	region := *w.region("testland")
	region.Settings.Identity, region.IdentitySecret = bridge.IdentityEnforce, identitySecret
	if err := w.store.SaveRegion(t.Context(), &region); err != nil {
		t.Fatal(err)
	}
	if err := w.regions.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-socket.ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the socket goes on")
	}
	if socket.code != 4001 || socket.reason != "identity_expired" {
		t.Errorf("the socket was closed with %d %q", socket.code, socket.reason)
	}
}

func TestIdentityInTheModeLogRefusesNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addRegion("watched", func(r *bridge.Region) { r.Settings.Identity, r.IdentitySecret = bridge.IdentityLog, identitySecret })
	w.post(chatPath("watched", "de", "d1"), "message=Hallo").state(t)
	w.get(chatPath("watched", "de", "d1"), "Authorization", "Bearer garbage").state(t)
}

// chatTokenOf asks for a chat token with a message.
func chatTokenOf(t testing.TB, w *world, deviceID, key string) string {
	t.Helper()
	got := w.post(chatPath("testland", "de", deviceID), "message=Hallo", "X-Chat-Token", "new", "Idempotency-Key", key)
	got.state(t)
	var answer struct {
		ChatToken string `json:"chat_token"`
	}
	decode(t, got.body, &answer)
	if len(answer.ChatToken) < 40 {
		t.Fatalf("no chat token: %s", got.body)
	}
	return answer.ChatToken
}

func TestAChatTokenTakesThePlaceOfTheDeviceID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	token := chatTokenOf(t, w, "d1", "key-1")
	before := w.messages("testland")
	for _, header := range [][]string{
		nil,
		{"X-Chat-Token", "wrong"},
		{"X-Chat-Token", ""},
		{"Authorization", "Bearer wrong"},
		{"Authorization", token},
		{"X-Chat-Token", "new"},
		{"X-Chat-Token", "new", "Idempotency-Key", "key-2"},
		{"X-Chat-Token", token[:len(token)-1]},
		{"X-Chat-Token", "wrong", "Authorization", "Bearer " + token},
	} {
		for _, route := range chatRoutes(t, "testland", "d1") {
			got := w.do(route[0], route[1], "message=x", append([]string{"Content-Type", form}, header...)...)
			if got.status != http.StatusUnauthorized || got.code(t) != "chat_token_required" || got.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s %s with %v: %d %s", route[0], route[1], header, got.status, got.body)
			}
		}
	}
	if n := w.messages("testland"); n != before {
		t.Fatalf("%d messages were stored without the token", n-before)
	}
	for _, header := range [][]string{{"X-Chat-Token", token}, {"Authorization", "Bearer " + token}} {
		got := w.get(path, header...)
		got.state(t)
		if strings.Contains(string(got.body), token) {
			t.Error("the token is told a second time")
		}
		w.post(path, "message=again", header...).state(t)
		// Nothing new costs nothing, with the token only.
		got = w.get(path, header...)
		condition := append([]string{"If-None-Match", got.header.Get("ETag")}, header...)
		if again := w.get(path, condition...); again.status != http.StatusNotModified {
			t.Errorf("nothing is new: %d", again.status)
		}
		if guessed := w.get(path, "If-None-Match", got.header.Get("ETag")); guessed.status != http.StatusUnauthorized {
			t.Errorf("a guessed tag: %d", guessed.status)
		}
	}
	// It is this device's in this region; others go on as before.
	w.post(chatPath("other", "de", "d1"), "message=Hallo").state(t)
	w.post(chatPath("testland", "de", "d2"), "message=Hallo").state(t)
	if got := w.get(chatPath("testland", "de", "d2"), "X-Chat-Token", token); got.status != http.StatusOK {
		t.Errorf("a device without a token: %d", got.status)
	}
	other := chatTokenOf(t, w, "d3", "key-1")
	if got := w.get(path, "X-Chat-Token", other); other == token || got.status != http.StatusUnauthorized {
		t.Errorf("another device's token: %d", got.status)
	}
}

// TestATokenThatCameElsewhereIsWanted: what is remembered here lets nobody write
// once the device has got a token at another instance.
func TestATokenThatCameElsewhereIsWanted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	eventually(t, "the watermarks trust themselves", func() bool {
		w.post(path, "message=Hallo").state(t)
		_, known := w.marks.Seq(w.region("testland").ID, hasher.Hash("d1"))
		return known
	})
	_, err := w.store.Accept(t.Context(), bridge.Submission{
		Region: w.region("testland"), Device: hasher.Hash("d1"), Language: "de", UUID: "elsewhere", Text: "mine", Token: bridge.TokenHash{1}, Now: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	before := w.messages("testland")
	if got := w.post(path, "message=not+mine"); got.status != http.StatusUnauthorized || got.code(t) != "chat_token_required" || got.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("without the token: %d %s", got.status, got.body)
	}
	if n := w.messages("testland"); n != before {
		t.Errorf("%d messages were stored", n-before)
	}
}

func TestALostChatTokenIsToldAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := chatTokenOf(t, w, "d1", "key-1")
	if again := chatTokenOf(t, w, "d1", "key-1"); again != token {
		t.Errorf("the same request gets %s, want %s", again, token)
	}
	if n := w.messages("testland"); n != 1 {
		t.Errorf("%d messages", n)
	}
	// Without a key the token could be lost with the answer.
	got := w.post(chatPath("testland", "de", "d2"), "message=Hallo", "X-Chat-Token", "new")
	if got.status != http.StatusBadRequest || got.code(t) != "invalid_idempotency_key" {
		t.Errorf("without a key: %d %s", got.status, got.body)
	}
	if got := w.post(chatPath("testland", "de", "d2"), "evaluation_consent=true", "X-Chat-Token", "new", "Idempotency-Key", "k"); got.status != http.StatusBadRequest {
		t.Errorf("without a message: %d %s", got.status, got.body)
	}
	// A chat that is there may get one, but not by the repetition of an old message.
	w.post(chatPath("testland", "de", "d2"), "message=Hallo", "Idempotency-Key", "k").state(t)
	got = w.post(chatPath("testland", "de", "d2"), "message=Hallo", "X-Chat-Token", "new", "Idempotency-Key", "k")
	if got.state(t); strings.Contains(string(got.body), "chat_token") {
		t.Errorf("a token that is not stored is told: %s", got.body)
	}
	w.get(chatPath("testland", "de", "d2")).state(t)
	chatTokenOf(t, w, "d2", "k2")
	if got := w.get(chatPath("testland", "de", "d2")); got.status != http.StatusUnauthorized {
		t.Errorf("after it has a token the device reads with its id alone: %d", got.status)
	}
}

// Two requests with different keys want a token at once: one gets it.
func TestTwoChatTokensAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	answers := make([]reply, 8)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			answers[i] = w.post(chatPath("testland", "de", "d1"), "message=Hallo", "X-Chat-Token", "new", "Idempotency-Key", strings.Repeat("k", i+1))
		})
	}
	wg.Wait()
	told := 0
	for _, a := range answers {
		switch {
		case a.status == http.StatusOK && strings.Contains(string(a.body), "chat_token"):
			told++
		case a.status != http.StatusUnauthorized:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if told != 1 || w.messages("testland") != 1 {
		t.Errorf("%d tokens and %d messages", told, w.messages("testland"))
	}
}

// The signed token and the chat token are independent; each has its header.
func TestIdentityAndChatToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addRegion("signed", func(r *bridge.Region) {
		r.Settings.Identity, r.IdentitySecret = bridge.IdentityEnforce, identitySecret
	})
	path, bearer := chatPath("signed", "de", "d1"), "Bearer "+signed(t, "d1", time.Now().Add(time.Hour))
	got := w.post(path, "message=Hallo", "Authorization", bearer, "X-Chat-Token", "new", "Idempotency-Key", "k")
	var answer struct {
		ChatToken string `json:"chat_token"`
	}
	got.state(t)
	decode(t, got.body, &answer)
	if got := w.get(path, "Authorization", bearer); got.status != http.StatusUnauthorized || got.code(t) != "chat_token_required" {
		t.Errorf("without the chat token: %d %s", got.status, got.body)
	}
	if got := w.get(path, "X-Chat-Token", answer.ChatToken); got.status != http.StatusUnauthorized || got.code(t) != "identity_required" {
		t.Errorf("without the signed token: %d %s", got.status, got.body)
	}
	w.get(path, "Authorization", bearer, "X-Chat-Token", answer.ChatToken).state(t)
}

func TestErasingNeedsTheTokenAndFreesTheDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	token := chatTokenOf(t, w, "d1", "key-1")
	if got := w.do("DELETE", path, ""); got.status != http.StatusUnauthorized {
		t.Fatalf("with the id alone: %d", got.status)
	}
	first := w.do("DELETE", path, "", "X-Chat-Token", token, "Idempotency-Key", "erase-1")
	again := w.do("DELETE", path, "", "X-Chat-Token", token, "Idempotency-Key", "erase-1")
	if first.status != http.StatusAccepted || string(first.body) != string(again.body) || first.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s, again %d %s", first.status, first.body, again.status, again.body)
	}
	if got := w.get(path); got.status != http.StatusNotFound {
		t.Errorf("after the erasure: %d", got.status)
	}
	w.post(path, "message=anew").state(t)
	// The late repetition of the old request does not reach the new chat.
	if late := w.do("DELETE", path, "", "Idempotency-Key", "erase-1"); string(late.body) != string(first.body) {
		t.Errorf("late: %d %s", late.status, late.body)
	}
	w.get(path).state(t)
}

func TestTheUsersOwnRights(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	for _, method := range []string{"GET", "DELETE"} {
		at := map[string]string{"GET": path + "export/", "DELETE": path}[method]
		if got := w.do(method, at, ""); got.status != http.StatusNotFound || got.code(t) != "chat_not_found" {
			t.Errorf("%s before there is anything: %d %s", method, got.status, got.body)
		}
	}
	w.post(path, "message=Frage&evaluation_consent=true").state(t)
	w.carry("testland", 7, nil)
	w.record("testland", 7, answerOf(7, 8000, true, "Antwort"), answerOf(7, 8001, false, "internal"))
	w.post(path, "message=neu&force_new=true").state(t)
	got := w.get(path + "export/")
	if got.status != http.StatusOK || got.header.Get("Content-Disposition") != `attachment; filename="chat.json"` || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", got.status, got.header, got.body)
	}
	var export struct {
		Chats []struct {
			Consent  *bool `json:"evaluation_consent"`
			InZammad bool  `json:"in_zammad"`
		}
		Messages []struct {
			Chat                 int
			Author, Text, Status string
		}
	}
	decode(t, got.body, &export)
	if len(export.Chats) != 2 || !*export.Chats[0].Consent || !export.Chats[0].InZammad || export.Chats[1].InZammad {
		t.Errorf("chats: %s", got.body)
	}
	var lines []string
	for _, m := range export.Messages {
		lines = append(lines, strings.Join([]string{strings.Repeat("I", m.Chat), m.Author, m.Text, m.Status}, " "))
	}
	if text := strings.Join(lines, ", "); text != "I user Frage seen, I agent Antwort sent, II user neu queued" {
		t.Errorf("messages: %s", text)
	}
	for _, hidden := range []string{"internal", "8000", "Nicole", "token\":\""} {
		if strings.Contains(string(got.body), hidden) {
			t.Errorf("the export has %q: %s", hidden, got.body)
		}
	}
	for _, bad := range []string{"", "a b", strings.Repeat("k", 201)} {
		if got := w.do("DELETE", path, "", "Idempotency-Key", bad); got.status != http.StatusBadRequest || got.code(t) != "invalid_idempotency_key" {
			t.Errorf("key %.10q: %d %s", bad, got.status, got.body)
		}
	}
	var answer struct{ Receipt, State, Zammad string }
	got = w.do("DELETE", path, "")
	decode(t, got.body, &answer)
	got = w.get("/api/v3/testland/erasures/" + answer.Receipt + "/")
	decode(t, got.body, &answer)
	if got.status != http.StatusOK || answer.State != "pending" || answer.Zammad != "anonymise" {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, other := range []string{"/api/v3/other/erasures/" + answer.Receipt + "/", "/api/v3/testland/erasures/x/"} {
		if got := w.get(other); got.status != http.StatusNotFound || got.code(t) != "receipt_not_found" {
			t.Errorf("%s: %d %s", other, got.status, got.body)
		}
	}
	ticket := w.post(path+"stream-ticket/", "")
	var issued struct {
		Ticket    string
		ExpiresIn int `json:"expires_in"`
	}
	decode(t, ticket.body, &issued)
	if ticket.status != http.StatusOK || issued.Ticket == "" || issued.ExpiresIn != 60 || ticket.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", ticket.status, ticket.body)
	}
}

// A browser cannot send headers with a stream: a ticket opens it. A stream of
// before the device had a token tells nothing of what comes after.
func TestStreamsFollowTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	w.post(path, "message=before").state(t)
	dial := func(query string) (*websocket.Conn, int) {
		t.Helper()
		conn, answer, err := websocket.Dial(t.Context(), w.url+path+"socket/"+query, nil)
		if err != nil && answer == nil {
			t.Fatal(err)
		}
		return conn, answer.StatusCode
	}
	old, status := dial("")
	if status != http.StatusSwitchingProtocols {
		t.Fatalf("before there is a token: %d", status)
	}
	token := chatTokenOf(t, w, "d1", "k")
	var err error
	var heard string
	for err == nil {
		var frame []byte
		_, frame, err = old.Read(t.Context())
		heard += string(frame)
	}
	if code := websocket.CloseStatus(err); code != 4001 || strings.Contains(heard, "Hallo") {
		t.Errorf("the old stream ends with %v after %s", err, heard)
	}
	if _, status := dial(""); status != http.StatusUnauthorized {
		t.Errorf("with the id alone: %d", status)
	}
	if _, status := dial("?ticket=x"); status != http.StatusUnauthorized {
		t.Errorf("with a wrong ticket: %d", status)
	}
	var issued struct{ Ticket string }
	decode(t, w.post(path+"stream-ticket/", "", "X-Chat-Token", token).body, &issued)
	conn, status := dial("?since=0&ticket=" + issued.Ticket)
	if status != http.StatusSwitchingProtocols {
		t.Fatalf("with a ticket: %d", status)
	}
	w.post(path, "message=after", "X-Chat-Token", token).state(t)
	for heard = ""; !strings.Contains(heard, "after"); {
		_, frame, err := conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		heard += string(frame)
	}
	if err := conn.CloseNow(); err != nil {
		t.Error(err)
	}
	// Polls take no ticket.
	if got := w.get(path + "?ticket=" + issued.Ticket); got.status != http.StatusUnauthorized {
		t.Errorf("a poll with a ticket: %d", got.status)
	}
}
