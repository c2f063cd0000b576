package zammad

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// deliveredNames are the names in a delivery, read without the code under test.
type deliveredNames struct {
	Ticket struct {
		State string
		Group struct {
			Name     string
			FollowUp string `json:"follow_up_possible"`
		}
		Customer  struct{ Login string }
		CreatedBy struct{ Login string } `json:"created_by"`
	}
	Article *struct {
		ID        ArticleID
		CreatedBy struct{ Login string } `json:"created_by"`
	}
}

// sameAsRead fails unless a delivery has everything that its ticket and article
// have where they are read by themselves, but for the custom attributes.
func sameAsRead(t *testing.T, body []byte, d Delivery) {
	t.Helper()
	var whole struct {
		Ticket  Ticket
		Article Article
	}
	if err := json.Unmarshal(body, &whole); err != nil {
		t.Fatal(err)
	}
	if _, ok := whole.Ticket.Attributes["app_chat"]; !ok {
		t.Errorf("ticket %d: the custom attribute is lost", d.Ticket.ID)
	}
	whole.Ticket.Attributes = nil
	if !reflect.DeepEqual(d.Ticket, whole.Ticket) {
		t.Errorf("the ticket is %+v\nby itself it is %+v", d.Ticket, whole.Ticket)
	}
	if d.Article != nil && !reflect.DeepEqual(*d.Article, whole.Article) {
		t.Errorf("the article is %+v\nby itself it is %+v", *d.Article, whole.Article)
	}
}

func TestRecordedDeliveries(t *testing.T) {
	t.Parallel()
	count, withArticle := 0, 0
	for name, steps := range recordings(t) {
		for _, s := range steps {
			if s.Delivery == nil {
				continue
			}
			count++
			body := []byte(s.Delivery.BodyRaw)
			signature := s.Delivery.Headers[HeaderSignature]
			if !VerifySignature(recordedSecret, signature, body) {
				t.Errorf("%s %s: the signature is refused", name, s.Name)
			}
			if VerifySignature(recordedSecret, signature, append([]byte(" "), body...)) {
				t.Errorf("%s %s: the signature holds for another body", name, s.Name)
			}
			d, err := ParseDelivery(body)
			if err != nil {
				t.Errorf("%s %s: %v", name, s.Name, err)
				continue
			}
			var want deliveredNames
			if err := json.Unmarshal(body, &want); err != nil {
				t.Fatal(err)
			}
			if string(d.Ticket.State) != want.Ticket.State || string(d.Ticket.Group) != want.Ticket.Group.Name ||
				d.Group.Name != want.Ticket.Group.Name || d.Group.FollowUpPossible != want.Ticket.Group.FollowUp ||
				string(d.Ticket.Customer) != want.Ticket.Customer.Login || d.Customer.Login != want.Ticket.Customer.Login ||
				d.Ticket.CustomerID != d.Customer.ID || string(d.Ticket.CreatedBy) != want.Ticket.CreatedBy.Login {
				t.Errorf("%s %s: read as %+v", name, s.Name, d.Ticket)
			}
			sameAsRead(t, body, d)
			if (d.Article != nil) != (want.Article.ID != 0) {
				t.Errorf("%s %s: article %v, want %d", name, s.Name, d.Article, want.Article.ID)
			}
			if d.Article != nil {
				withArticle++
				if d.Article.ID != want.Article.ID || string(d.Article.CreatedBy) != want.Article.CreatedBy.Login || d.Article.TicketID != d.Ticket.ID {
					t.Errorf("%s %s: article read as %+v", name, s.Name, d.Article)
				}
			}
		}
	}
	if count != 26 || withArticle == 0 || withArticle == count {
		t.Errorf("%d deliveries, %d with an article", count, withArticle)
	}
}

func TestParseDeliveryRefuses(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", "null", "[]", "1", `"x"`, `{}`, `{"ticket":null}`, `{"ticket":{}}`, `{"ticket":{"id":0}}`, `{"ticket":{"id":-4}}`,
		`{"ticket":{"id":"secret words"}}`, `{"ticket":{"id":1},"article":[]}`, `{"ticket":{"id":1},"article":{"id":"secret words"}}`,
		`{"ticket":{"id":1}} trailing`,
	} {
		d, err := ParseDelivery([]byte(body))
		if err == nil {
			t.Errorf("%s: accepted as %+v", body, d)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error repeats the body: %v", body, err)
		}
		err = CheckDelivery([]byte(body))
		if wantOK := strings.Contains(body, `"article"`); (err == nil) != wantOK { // it looks at the ticket only
			t.Errorf("%s: checked: %v", body, err)
		} else if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error of the check repeats the body: %v", body, err)
		}
	}
}

func TestParseDeliveryWithoutArticle(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"ticket":{"id":7}}`, `{"ticket":{"id":7},"article":null}`, `{"ticket":{"id":7,"group":{},"customer":{}},"article":{}}`} {
		d, err := ParseDelivery([]byte(body))
		if err != nil || d.Ticket.ID != 7 || d.Article != nil {
			t.Errorf("%s: %+v, %v", body, d, err)
		}
	}
}

func TestVerifySignature(t *testing.T) {
	t.Parallel()
	body := []byte(`{"a":"<"}`)
	good := Sign("secret", body)
	for _, c := range []struct {
		name, secret, header string
		body                 []byte
		want                 bool
	}{
		{"right", "secret", good, body, true},
		{"another secret", "Secret", good, body, false},
		{"no header", "secret", "", body, false},
		{"no prefix", "secret", strings.TrimPrefix(good, "sha1="), body, false},
		{"cut", "secret", good[:len(good)-1], body, false},
		{"re-encoded body", "secret", good, []byte(`{"a":"\u003c"}`), false},
		{"empty secret", "", Sign("", body), body, false},
	} {
		if got := VerifySignature(c.secret, c.header, c.body); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func FuzzParseDelivery(f *testing.F) {
	for _, steps := range recordings(f) {
		for _, s := range steps {
			if s.Delivery != nil {
				f.Add([]byte(s.Delivery.BodyRaw))
			}
		}
	}
	f.Add([]byte(`{"ticket":{"id":1,"group":{},"state":null},"article":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := ParseDelivery(body)
		if err != nil {
			if d.Ticket.ID != 0 || d.Article != nil {
				t.Error("an error and a delivery")
			}
			return
		}
		if d.Ticket.ID <= 0 || d.Article != nil && d.Article.ID <= 0 {
			t.Errorf("accepted without id: %+v", d)
		}
		if err := CheckDelivery(body); err != nil {
			t.Errorf("the check refuses what can be read: %v", err)
		}
		if !VerifySignature("k", Sign("k", body), body) {
			t.Error("own signature refused")
		}
	})
}

func TestAnArticleIsInternalUnlessItSaysThatItIsNot(t *testing.T) {
	for internal, want := range map[string]bool{`"internal":false,`: false, `"internal":true,`: true, `"internal":null,`: true, ``: true} {
		delivery, err := ParseDelivery([]byte(`{"ticket":{"id":7,"article_ids":[9]},"article":{` + internal + `"id":9,"ticket_id":7,"sender":"Agent","body":"x"}}`))
		if err != nil {
			t.Fatal(err)
		}
		if delivery.Article.Internal != want {
			t.Errorf("with %q the article is internal: %v", internal, delivery.Article.Internal)
		}
	}
	delivery, err := ParseDelivery([]byte(`{"ticket":{"id":7},"article":{"id":8,"internal":false},"Article":{"id":9,"body":"x"}}`))
	if err != nil || delivery.Article.ID != 9 || !delivery.Article.Internal {
		t.Errorf("of two articles the second is public because the first is: %+v, %v", delivery.Article, err)
	}
}
