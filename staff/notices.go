package staff

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Proof is what proves who somebody is.
type Proof string

// The proofs.
const (
	ProofPassword Proof = "password"
	ProofFactor   Proof = "factor"
	ProofIdentity Proof = "identity" // at the OpenID provider
)

// Renewal says when a proof of an account was set, changed or removed last.
type Renewal struct {
	Proof Proof
	At    time.Time
}

// Renewals lists when the proofs were renewed, the latest first.
func (a *Account) Renewals() []Renewal {
	all := []Renewal{{ProofPassword, a.PasswordAt}, {ProofFactor, a.FactorAt}, {ProofIdentity, a.IdentityAt}}
	all = slices.DeleteFunc(all, func(r Renewal) bool { return r.At.IsZero() })
	slices.SortStableFunc(all, func(x, y Renewal) int { return y.At.Compare(x.At) })
	return all
}

// News lists what was renewed between the last sign-in and the one before: so the
// person is told once, and not of what was done in this sign-in.
func (a *Account) News() []Renewal {
	return slices.DeleteFunc(a.Renewals(), func(r Renewal) bool {
		return a.SignedInBefore.IsZero() || !r.At.After(a.SignedInBefore) || r.At.After(a.SignedInAt)
	})
}

// untoldFor is how long it is tried to tell of a change by mail. After that the
// console alone tells it.
const untoldFor = time.Hour

// NoticeStore knows who is to be told.
type NoticeStore interface {
	// Untold lists accounts that are not disabled, have an e-mail address as
	// login, and a proof that was renewed since a time, of which nobody was told.
	Untold(ctx context.Context, since time.Time) ([]Account, error)
	// Told notes that somebody was told of all until a time.
	Told(ctx context.Context, id ID, until time.Time) error
}

// Mailer sends a mail. key is the same if it is sent again.
type Mailer interface {
	Send(ctx context.Context, to, key, subject, text string, now time.Time) error
}

// Notices tells people by mail that what proves them was renewed, whoever did it:
// somebody else may have.
type Notices struct {
	Store NoticeStore
	Mail  Mailer // nil: there is none
	Log   *slog.Logger
	Now   func() time.Time
}

// Run is the job. Counts are "told" and "untold" (tries that failed); a dry run
// counts whom it would tell.
//
// Failure policy: what cannot be sent is tried again with each run for an hour.
func (n *Notices) Run(ctx context.Context, dryRun bool) (map[string]int, error) {
	counts := make(map[string]int)
	if n.Mail == nil {
		return counts, nil
	}
	now := n.Now()
	due, err := n.Store.Untold(ctx, now.Add(-untoldFor))
	if err != nil {
		return counts, err
	}
	var failed error
	for i := range due {
		a := &due[i]
		news := a.Renewals()
		if dryRun {
			counts["told"]++
			continue
		}
		subject, text := a.notice(slices.DeleteFunc(slices.Clone(news), func(r Renewal) bool { return !r.At.After(a.ToldAt) }))
		if err := n.Mail.Send(ctx, a.Login, fmt.Sprintf("account-%d-%d", a.ID, news[0].At.UnixMilli()), subject, text, now); err != nil {
			counts["untold"]++ // why may name the address
			n.Log.WarnContext(ctx, "somebody could not be told by mail of a change of the account", "staff", a.ID)
			continue
		}
		counts["told"]++
		failed = errors.Join(failed, n.Store.Told(ctx, a.ID, news[0].At))
	}
	return counts, failed
}

// noticeWords are the words of a mail in one language.
type noticeWords struct {
	subject, begin, end, clock string
	proofs                     map[Proof]string
}

// noticeTexts has them by language; a person without one gets both.
func noticeTexts() map[string]noticeWords {
	return map[string]noticeWords{
		"de": {
			subject: "Deskbridge: Ihr Zugang wurde geändert", begin: "Bei Ihrem Konto in Deskbridge wurde geändert, wie Sie sich anmelden:",
			end:    "Waren Sie das selbst, müssen Sie nichts tun. Sonst sagen Sie es bitte gleich der Person, die Deskbridge betreibt.",
			clock:  "02.01.2006, 15:04 Uhr (MST)",
			proofs: map[Proof]string{ProofPassword: "das Passwort", ProofFactor: "der Code beim Anmelden", ProofIdentity: "die Verbindung mit dem Anmeldedienst"},
		},
		"en": {
			subject: "Deskbridge: your sign-in was changed", begin: "It was changed how you sign in to your account in Deskbridge:",
			end:    "If it was you, there is nothing to do. If not, please tell the person who runs Deskbridge at once.",
			clock:  "2 January 2006, 15:04 (MST)",
			proofs: map[Proof]string{ProofPassword: "the password", ProofFactor: "the code at sign-in", ProofIdentity: "the link with the sign-in service"},
		},
	}
}

// notice words the mail about renewals. It has no link: nobody shall learn to
// follow one.
func (a *Account) notice(news []Renewal) (subject, text string) {
	languages := []string{"de", "en"}
	if a.Language != "" {
		languages = []string{a.Language}
	}
	var texts []string
	for _, language := range languages {
		w := noticeTexts()[language]
		lines := []string{w.begin, ""}
		for _, r := range news {
			lines = append(lines, "- "+w.proofs[r.Proof]+": "+r.At.UTC().Format(w.clock))
		}
		texts = append(texts, strings.Join(append(lines, "", w.end), "\n"))
	}
	return noticeTexts()[languages[0]].subject, strings.Join(texts, "\n\n")
}
