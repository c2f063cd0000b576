package staff_test

import (
	"testing"
	"time"

	"deskbridge/staff"
)

// TestNews: the person is told of what was renewed since the sign-in before, and
// not of what this sign-in has done itself.
func TestNews(t *testing.T) {
	t.Parallel()
	at := func(minute int) time.Time {
		if minute == 0 {
			return time.Time{}
		}
		return start.Add(time.Duration(minute) * time.Minute)
	}
	for name, c := range map[string]struct {
		password, factor, identity, before, last int // minutes; 0: never
		want                                     []staff.Proof
	}{
		"nothing":             {before: 5, last: 9},
		"the first sign-in":   {password: 3, last: 9},
		"long ago":            {password: 3, factor: 5, before: 5, last: 9},
		"in between":          {password: 6, factor: 2, before: 5, last: 9, want: []staff.Proof{staff.ProofPassword}},
		"all, the last first": {password: 6, factor: 9, identity: 7, before: 5, last: 9, want: []staff.Proof{staff.ProofFactor, staff.ProofIdentity, staff.ProofPassword}},
		"in this sign-in":     {password: 10, before: 5, last: 9},
	} {
		a := staff.Account{
			Person:     staff.Person{SignedInAt: at(c.last)},
			PasswordAt: at(c.password), FactorAt: at(c.factor), IdentityAt: at(c.identity), SignedInBefore: at(c.before),
		}
		news := a.News()
		if len(news) != len(c.want) {
			t.Errorf("%s: %v", name, news)
			continue
		}
		for i, want := range c.want {
			if news[i].Proof != want {
				t.Errorf("%s: %v, want %v", name, news, c.want)
			}
		}
	}
}
