package webhook

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"deskbridge/bridge"
	"deskbridge/storage/storagetest"
)

// small is the smallest delivery: a ticket without an article.
var small = []byte(`{"ticket":{"id":7},"article":{}}`)

func TestEveryRecordedDeliveryIsStoredOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, relayed)
	want := map[string][]byte{}
	for _, r := range recordings(t) {
		key := r.headers.Get("X-Zammad-Delivery")
		got := w.post(t, "/api/v3/webhook/zammad/testland/", bytes.NewReader(r.body), r.headers)
		status := "stored"
		if want[key] != nil {
			status = "duplicate"
		}
		if got.status != http.StatusOK || got.Status != status || got.Region != "testland" {
			t.Errorf("%s, delivery %s: got %+v, want 200 %s", r.file, key, got, status)
		}
		if want[key] == nil {
			want[key] = r.body
		}
	}
	found := w.stored(t)
	if len(found) != len(want) || len(want) < 15 {
		t.Fatalf("stored %d deliveries, want %d (at least 15 are recorded)", len(found), len(want))
	}
	for _, d := range found {
		if !bytes.Equal(d.Body, want[d.Key]) {
			t.Errorf("delivery %s: the stored bytes differ from the sent ones", d.Key)
		}
		if d.Hint || d.Region != w.regions["testland"].ID || !d.Received.Equal(w.clock.now()) {
			t.Errorf("delivery %s: hint %t, region %d, received %s", d.Key, d.Hint, d.Region, d.Received)
		}
	}
}

// expecting is a receiver that keeps what it was told to expect.
type expecting struct {
	receiverFunc
	bodies chan []byte
}

func (e expecting) Expect(body []byte) { e.bodies <- body }

func TestSignature(t *testing.T) {
	t.Parallel()
	expected := make(chan []byte, 100)
	w := newWorld(t, relayed, func(d *Deps) { d.Receiver = expecting{relayed, expected} })
	right := sign(recordedSecret, small)
	upper := "sha1=" + strings.ToUpper(strings.TrimPrefix(right, "sha1="))
	for _, c := range []struct {
		name, region string
		values       []string
		status       int
		code         string
	}{
		{"right", "testland", []string{right}, 200, ""},
		{"upper-case digits say the same bytes", "testland", []string{upper}, 200, ""},
		{"missing", "testland", nil, 401, "invalid_signature"},
		{"empty", "testland", []string{""}, 401, "invalid_signature"},
		{"prefix only", "testland", []string{"sha1="}, 401, "invalid_signature"},
		{"cut by one digit", "testland", []string{right[:len(right)-1]}, 401, "invalid_signature"},
		{"cut by one byte", "testland", []string{right[:len(right)-2]}, 401, "invalid_signature"},
		{"too long", "testland", []string{right + "00"}, 401, "invalid_signature"},
		{"without prefix", "testland", []string{right[5:]}, 401, "invalid_signature"},
		{"upper-case prefix", "testland", []string{"SHA1=" + right[5:]}, 401, "invalid_signature"},
		{"another algorithm", "testland", []string{"sha256=" + strings.Repeat("0", 64)}, 401, "invalid_signature"},
		{"the same digits, another algorithm", "testland", []string{"sha256=" + right[5:]}, 401, "invalid_signature"},
		{"no digits", "testland", []string{"sha1=" + strings.Repeat("g", 40)}, 401, "invalid_signature"},
		{"zeros", "testland", []string{"sha1=" + strings.Repeat("0", 40)}, 401, "invalid_signature"},
		{"another secret", "testland", []string{sign(otherSecret, small)}, 401, "invalid_signature"},
		{"over other bytes", "testland", []string{sign(recordedSecret, append([]byte(" "), small...))}, 401, "invalid_signature"},
		{"two values", "testland", []string{right, right}, 401, "invalid_signature"},
		{"two in one value", "testland", []string{right + "," + right}, 401, "invalid_signature"},
		{"region without a secret", "noland", []string{right}, 401, "invalid_signature"},
		{"region without a secret, signed with nothing", "noland", []string{sign("", small)}, 401, "invalid_signature"},
		{"unknown region", "nowhere", []string{right}, 404, "region_not_found"},
		{"region in other case", "Testland", []string{right}, 404, "region_not_found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			headers := http.Header{"X-Hub-Signature": c.values, "X-Zammad-Delivery": {url.PathEscape(c.name)}}
			got := w.post(t, "/api/v3/webhook/zammad/"+c.region+"/", bytes.NewReader(small), headers)
			if got.status != c.status || got.Code != c.code || got.Retryable {
				t.Errorf("got %+v, want %d %q", got, c.status, c.code)
			}
			if n := len(w.stored(t)); (n == 1) != (c.status == 200) {
				t.Errorf("%d deliveries were stored after status %d", n, got.status)
			}
			select {
			case body := <-expected:
				if c.status != 200 || !bytes.Equal(body, small) {
					t.Errorf("%q may be prepared after status %d", body, got.status)
				}
			default:
				if c.status == 200 {
					t.Error("nobody was told to expect it")
				}
			}
		})
	}
}

// The address token must not open the signed form, nor the other way round.
func TestTokenForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, relayed)
	for _, c := range []struct {
		name, path string
		region     string // empty: refused
		status     int
		code       string
	}{
		{"right token", "/api/v3/webhook/zammad/?token=" + urlToken, "otherland", 200, ""},
		{"no token", "/api/v3/webhook/zammad/", "", 404, "webhook_not_found"},
		{"empty token: regions without one do not match", "/api/v3/webhook/zammad/?token=", "", 404, "webhook_not_found"},
		{"cut token", "/api/v3/webhook/zammad/?token=" + urlToken[:5], "", 404, "webhook_not_found"},
		{"longer token", "/api/v3/webhook/zammad/?token=" + urlToken + "x", "", 404, "webhook_not_found"},
		{"upper-case token", "/api/v3/webhook/zammad/?token=" + strings.ToUpper(urlToken), "", 404, "webhook_not_found"},
		{"a webhook secret is no token", "/api/v3/webhook/zammad/?token=" + recordedSecret, "", 404, "webhook_not_found"},
		{"the second token does not count", "/api/v3/webhook/zammad/?token=x&token=" + urlToken, "", 404, "webhook_not_found"},
		{"a token does not replace the signature", "/api/v3/webhook/zammad/otherland/?token=" + urlToken, "", 401, "invalid_signature"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := w.post(t, c.path, bytes.NewReader(small), http.Header{"X-Zammad-Delivery": {"one"}})
			if got.status != c.status || got.Code != c.code || got.Region != c.region {
				t.Errorf("got %+v, want %d %q region %q", got, c.status, c.code, c.region)
			}
			found := w.stored(t)
			if c.region == "" && len(found) != 0 {
				t.Fatalf("a refused delivery was stored")
			}
			if c.region != "" && (len(found) != 1 || !found[0].Hint || found[0].Region != w.regions[c.region].ID) {
				t.Errorf("stored %+v, want one hint for %s", found, c.region)
			}
		})
	}
}

func TestTokenOfTwoRegionsIsTheOldersOne(t *testing.T) {
	t.Parallel()
	regions := []*bridge.Region{{ID: 3, WebhookToken: "same"}, {ID: 2, WebhookToken: "same"}, {ID: 1, WebhookToken: "other"}, {ID: 4}}
	if got := regionOfToken(regions, "same"); got == nil || got.ID != 2 {
		t.Errorf("got %v, want region 2", got)
	}
	if got := regionOfToken(regions, ""); got != nil {
		t.Errorf("an empty token found region %d", got.ID)
	}
}

func TestRepeatsAtTheSameTimeAreStoredOnce(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, database string) {
		w := newWorldOn(t, database, relayed)
		const senders = 16
		answers := make([]string, senders)
		var group sync.WaitGroup
		for i := range senders {
			group.Go(func() { answers[i] = w.deliver(t, "testland", "same", small).Status })
		}
		group.Wait()
		slices.Sort(answers)
		want := append(slices.Repeat([]string{"duplicate"}, senders-1), "stored")
		if !slices.Equal(answers, want) {
			t.Errorf("answers are %v", answers)
		}
		if n := len(w.stored(t)); n != 1 {
			t.Errorf("%d deliveries were stored", n)
		}
		if got := w.deliver(t, "offland", "same", small); got.Status != "stored" {
			t.Errorf("the same id in another region: %+v, want stored", got)
		}
	})
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, relayed, func(d *Deps) { d.MaxBody = 64 << 10 })
	for _, c := range []struct {
		size    int
		chunked bool
		status  int
	}{
		{64 << 10, false, 200},
		{64 << 10, true, 200},
		{64<<10 + 1, false, 413},
		{64<<10 + 1, true, 413},
		{1 << 20, false, 413},
		{1 << 20, true, 413},
	} {
		body := []byte(`{"ticket":{"id":7},"article":{},"x":"` + strings.Repeat("y", c.size))
		copy(body[c.size-2:], `"}`)
		body = body[:c.size]
		headers := http.Header{"X-Hub-Signature": {sign(recordedSecret, body)}}
		var got answered
		if c.chunked { // a reader of no known length makes net/http send it in chunks
			got = w.post(t, "/api/v3/webhook/zammad/testland/", struct{ *bytes.Reader }{bytes.NewReader(body)}, headers)
		} else {
			got = w.post(t, "/api/v3/webhook/zammad/testland/", bytes.NewReader(body), headers)
		}
		if got.status != c.status || c.status == 413 && got.Code != "body_too_large" {
			t.Errorf("%d bytes, chunked %t: got %+v, want %d", c.size, c.chunked, got, c.status)
		}
	}
}

// Zammad's largest article, in the worst case that its JSON makes of it.
func TestLargestArticlePassesTheDefaultLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, relayed)
	text := strings.Repeat(`\u003c`, 1_500_000)
	body := []byte(`{"ticket":{"id":7,"article_ids":[1]},"article":{"id":1,"body":"` + text + `"}}`)
	if got := w.deliver(t, "testland", "large", body); got.status != 200 || got.Status != "stored" {
		t.Fatalf("%d bytes: %+v", len(body), got)
	}
	if found := w.stored(t); len(found) != 1 || !bytes.Equal(found[0].Body, body) {
		t.Errorf("the stored body differs")
	}
}

func TestWhatIsNotADelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, relayed)
	for i, body := range []string{
		"", "{", "null", "[]", `"ticket"`, "ticket=7", "<ticket/>", `{}`, `{"ticket":null}`, `{"ticket":{}}`, `{"ticket":[7]}`,
		`{"ticket":{"id":0},"article":{}}`, `{"ticket":{"id":-1},"article":{}}`, `{"ticket":{"id":"seven"},"article":{}}`,
		`{"article":{"id":1}}`, `{"ticket":{"id":7},"article":{}`, "\xff\xfe", strings.Repeat("[", 10_000),
	} {
		if got := w.deliver(t, "testland", fmt.Sprint(i), []byte(body)); got.status != 400 || got.Code != "invalid_webhook" || got.Retryable {
			t.Errorf("%.40q: got %+v, want 400 invalid_webhook", body, got)
		}
		got := w.post(t, "/api/v3/webhook/zammad/testland/", strings.NewReader(body), http.Header{"X-Hub-Signature": {sign("wrong", []byte(body))}})
		if got.status != 401 {
			t.Errorf("%.40q with a wrong signature: got %d; who has no secret learns nothing about bodies", body, got.status)
		}
	}
	if n := len(w.stored(t)); n != 0 {
		t.Errorf("%d deliveries were stored", n)
	}
}

// Nothing of this is the door's business: it is stored, answered 200, and the
// relay finds out.
func TestDeliveriesThatMayConcernNobodyAreTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, relayed)
	for _, c := range []struct{ name, region, body string }{
		{"no article", "testland", `{"ticket":{"id":7},"article":{}}`},
		{"article null", "testland", `{"ticket":{"id":7},"article":null}`},
		{"article left out", "testland", `{"ticket":{"id":7}}`},
		{"unknown ticket", "testland", `{"ticket":{"id":987654321},"article":{}}`},
		{"ticket of another region", "otherland", `{"ticket":{"id":7},"article":{}}`},
		{"a region that is switched off", "offland", `{"ticket":{"id":8},"article":{}}`},
		{"unknown keys", "testland", `{"ticket":{"id":7,"new":{"deep":[1]}},"article":{},"also":"new"}`},
	} {
		if got := w.deliver(t, c.region, c.name[:2]+c.region+fmt.Sprint(len(c.body)), []byte(c.body)); got.status != 200 || got.Status != "stored" || got.Region != c.region {
			t.Errorf("%s: got %+v, want 200 stored", c.name, got)
		}
	}
	if n := len(w.stored(t)); n != 7 {
		t.Errorf("%d deliveries were stored, want 7", n)
	}
}

func TestDeliveryIDsThatAreNoneAreReplacedByTheDigest(t *testing.T) {
	t.Parallel()
	digest := deliveryKey("", small)
	if len(digest) > maxKey || !strings.HasPrefix(digest, "sha256-") {
		t.Fatalf("digest is %q", digest)
	}
	for _, c := range []struct{ header, want string }{
		{"0a57df8d-9671-4f5c-aae8-98774490caee", "0a57df8d-9671-4f5c-aae8-98774490caee"},
		{strings.Repeat("k", maxKey), strings.Repeat("k", maxKey)},
		{"", digest},
		{strings.Repeat("k", maxKey+1), digest},
		{"two words", digest},
		{"schlüssel", digest},
		{"tab\tinside", digest},
	} {
		if got := deliveryKey(c.header, small); got != c.want {
			t.Errorf("%q: got key %q, want %q", c.header, got, c.want)
		}
	}
	w := newWorld(t, relayed)
	first, again := w.deliver(t, "testland", "", small), w.deliver(t, "testland", "", small)
	other := w.deliver(t, "testland", "", []byte(`{"ticket":{"id":8},"article":{}}`))
	if first.Status != "stored" || again.Status != "duplicate" || other.Status != "stored" {
		t.Errorf("without ids: %s, %s, %s; want stored, duplicate, stored", first.Status, again.Status, other.Status)
	}
}

// full is an inbox on a full disk.
type full struct{ bridge.InboxStore }

func (full) StoreDelivery(context.Context, bridge.Delivery) (bool, error) { return false, errBroken }

func TestWhatCannotBeStoredIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, relayed, func(d *Deps) { d.Inbox = full{d.Inbox} })
	got := w.deliver(t, "testland", "one", small)
	if got.status != 503 || got.Code != "storage_unavailable" || !got.Retryable || strings.Contains(got.Error, errBroken.Error()) {
		t.Errorf("got %+v, want 503 storage_unavailable without the cause", got)
	}
}

func TestOtherMethodsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, relayed)
	for _, path := range []string{"/api/v3/webhook/zammad/", "/api/v3/webhook/zammad/testland/"} {
		response, err := http.Get(w.url + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		if response.StatusCode != 405 || response.Header.Get("Allow") != "POST" {
			t.Errorf("GET %s: %d, Allow %q", path, response.StatusCode, response.Header.Get("Allow"))
		}
	}
}
