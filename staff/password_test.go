package staff

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"pgregory.net/rapid"
)

func TestHashesAreOfTheStandardForm(t *testing.T) {
	t.Parallel()
	h := newHasher([]byte("pepper"))
	one, err := h.hash(t.Context(), "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.hash(t.Context(), "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(one, "k1$argon2id$v=19$m=19456,t=2,p=1$") || one == two {
		t.Fatalf("hashes: %s %s", one, two)
	}
	for password, want := range map[string]bool{"correct horse battery": true, "correct horse batterx": false, "": false, "correct horse battery ": false} {
		ok, stale, err := h.check(t.Context(), password, one)
		if err != nil || ok != want || stale {
			t.Errorf("%q: ok %v, stale %v, %v", password, ok, stale, err)
		}
	}
}

func TestHashesOfOtherParametersAreReadAndStale(t *testing.T) {
	t.Parallel()
	h := newHasher([]byte("pepper"))
	older := hashed{memory: 16 << 10, passes: 3, lanes: 2, salt: []byte("somesalt")}
	older.key = argon2.IDKey([]byte("password"), older.salt, 3, 16<<10, 2, 24)
	for password, want := range map[string]bool{"password": true, "passworD": false} {
		ok, stale, err := h.check(t.Context(), password, older.String())
		if err != nil || ok != want || !stale {
			t.Errorf("%q: ok %v, stale %v, %v", password, ok, stale, err)
		}
	}
}

func TestStrangeHashesAreRefused(t *testing.T) {
	t.Parallel()
	good := hashed{peppered: true, memory: hashMemory, passes: hashPasses, lanes: hashLanes, salt: make([]byte, 16), key: make([]byte, 32)}
	if _, err := parseHash(good.String()); err != nil {
		t.Fatal(err)
	}
	text := good.String()
	for name, hash := range map[string]string{
		"plain text":       "password",
		"another pepper":   strings.Replace(text, "k1", "k2", 1),
		"twice a pepper":   "k1" + text,
		"argon2i":          strings.Replace(text, "argon2id", "argon2i", 1),
		"older version":    strings.Replace(text, "v=19", "v=16", 1),
		"much memory":      strings.Replace(text, "m=19456", "m=4194304", 1),
		"little memory":    strings.Replace(text, "m=19456", "m=8", 1),
		"many passes":      strings.Replace(text, "t=2", "t=4000000000", 1),
		"no pass":          strings.Replace(text, "t=2", "t=0", 1),
		"no lane":          strings.Replace(text, "p=1", "p=0", 1),
		"overflow":         strings.Replace(text, "p=1", "p=257", 1),
		"more parameters":  strings.Replace(text, "p=1", "p=1,x=2", 1),
		"padding":          text + "=",
		"a short key":      text[:len(text)-30],
		"more at the end":  text + "$",
		"something before": "x" + text,
		"spaces":           strings.Replace(text, "t=2", "t= 2", 1),
	} {
		if _, _, err := newHasher([]byte("pepper")).check(t.Context(), "password", hash); !errors.Is(err, errHash) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	ok, _, err := newHasher([]byte("pepper")).check(t.Context(), "", "")
	if ok || err != nil {
		t.Fatalf("no password where there is none: %v %v", ok, err)
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("k1$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=-1,t=2,p=1$$")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseHash(text)
		if err == nil && p.String() != text {
			t.Fatalf("%q was read as %q", text, p.String())
		}
	})
}

func TestTheSameCharactersAreTheSamePassword(t *testing.T) {
	t.Parallel()
	h := newHasher([]byte("pepper"))
	hash, err := h.hash(t.Context(), "Schlüsselblüte am Fluß")
	if err != nil {
		t.Fatal(err)
	}
	ok, _, err := h.check(t.Context(), "Schlu\u0308sselblu\u0308te am Fluß", hash)
	if !ok || err != nil {
		t.Fatalf("typed on another keyboard: %v %v", ok, err)
	}
}

func TestPasswordsThatMayBeChosen(t *testing.T) {
	t.Parallel()
	p := &Person{Login: "anna.schmidt-meier@example.org", Name: "Änne Schmidt-Meier"}
	for password, want := range map[string]error{
		"correct horse battery":               nil,
		"vier Wörter im Regen":                nil,
		"😀😁😂🤣😃😄😅😆😉😊😋😎":                        nil,
		strings.Repeat("ab c", 50) + "d":      ErrPasswordLong,
		numbered("wörter!?", 128):             nil,
		numbered("wörter!?", 129):             ErrPasswordLong,
		"elf zeichen":                         ErrPasswordShort,
		"u\u0308u\u0308u\u0308u\u0308abcdefg": ErrPasswordShort, // 11 characters, 15 code points
		"with\x00nul in it":                   ErrPasswordText,
		"broken \xff text":                    ErrPasswordText,
		"anna.schmidt-meier@example.org":      ErrPasswordSelf,
		"Anna.Schmidt-Meier":                  ErrPasswordSelf,
		"anna.schmidt-meier2026!":             ErrPasswordSelf,
		" A\u0308nne schmidt-meier":           ErrPasswordSelf,
		"Passwort1234!":                       ErrPasswordCommon,
		"Deskbridge2026":                      ErrPasswordCommon,
		"password password"[:8] + "password":  ErrPasswordCommon,
		"123456789012":                        ErrPasswordCommon,
		"            ":                        ErrPasswordCommon,
		"aaaaaaaaaaaaa":                       ErrPasswordCommon,
		"abc1abc1abc1":                        ErrPasswordCommon,
		"ääääääääääää":                        ErrPasswordCommon,
		"qwertzuiop123":                       ErrPasswordCommon,
		"1q2w3e4r5t6z":                        ErrPasswordCommon,
		"74839201746583920147":                nil,
		"meier.schmidt@example 12":            ErrPasswordSelf,
		"schmidt schmidt schmidt":             ErrPasswordSelf,
		"anna mag keine Katzen":               nil,
		"Geburtstag2026!":                     ErrPasswordCommon, // a German word
		"g3burt.st4g2026":                     nil,
		"trustno1-2026-11":                    ErrPasswordCommon,
		"unbelievable":                        ErrPasswordCommon, // of the list, long enough by itself
		"leavemealone99":                      ErrPasswordCommon,
		"@dm1n1str4t0r":                       ErrPasswordCommon,
		"P4$$w0rd_2026!":                      ErrPasswordCommon,
		"!!Integreat2026":                     ErrPasswordCommon,
		"landkreis-2026":                      ErrPasswordCommon,
		"xkp9wq-xkp9wq-":                      ErrPasswordCommon, // too short, twice
		"Kopfsteinpfad7Kopfsteinpfad7":        nil,               // long enough once
		"leavemealone1leavemealone1":          ErrPasswordCommon,
		"asdfghjkl12345":                      ErrPasswordCommon,
	} {
		if err := CheckPassword(password, p); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%q: %v, want %v", password, err, want)
		}
	}
}

// numbered is a word again and again, with numbers, n characters long.
func numbered(word string, n int) string {
	var b strings.Builder
	for i := 0; utf8.RuneCountInString(b.String()) < n; i++ {
		fmt.Fprint(&b, word, i)
	}
	return string([]rune(b.String())[:n])
}

// The list is whole: words of its beginning, middle and end are known, and the
// most used passwords of all are in it whatever hangs on to them.
func TestTheListOfCommonPasswords(t *testing.T) {
	t.Parallel()
	list, err := gzip.NewReader(bytes.NewReader(commonList))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := io.ReadAll(list)
	if err != nil {
		t.Fatal(err)
	}
	words, long := 0, 0
	for line := range strings.Lines(string(lines)) {
		word := strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(word, "#") {
			continue
		}
		words++
		if len([]rune(word)) >= MinPassword {
			long++
		}
		if words%500 != 1 && !strings.HasPrefix(word, "zz") {
			continue
		}
		for _, password := range []string{word, word + "2026!", "12" + strings.ToUpper(word)} {
			for len([]rune(password)) < MinPassword {
				password += "7"
			}
			if err := CheckPassword(password, &Person{Login: "l", Name: "n"}); !errors.Is(err, ErrPasswordCommon) {
				t.Errorf("%q, of %q: %v", password, word, err)
			}
		}
	}
	if words < 45_000 || long < 800 {
		t.Errorf("the list has %d words, of which %d have %d characters", words, long, MinPassword)
	}
}

func TestNoTextBreaksTheRules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		password := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ab ü]{0,40}`), rapid.StringMatching(`.{12,210}`)).Draw(t, "password")
		err := CheckPassword(password, &Person{Login: "anna", Name: "Anna"})
		if n := len([]rune(password)); n < MinPassword && err == nil {
			t.Fatalf("%q is taken", password)
		}
	})
}

func TestFewHashesAtOnce(t *testing.T) {
	t.Parallel()
	h := newHasher([]byte("pepper"))
	var (
		group     sync.WaitGroup
		now, most atomic.Int32
	)
	for range 50 {
		group.Go(func() {
			done, err := h.turn(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			now.Add(-1)
			done()
		})
	}
	group.Wait()
	if n := most.Load(); n > hashesAtOnce {
		t.Fatalf("%d hashes at once", n)
	}
}

func TestWhoWaitsTooLongForATurnIsSentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher([]byte("pepper"))
		for range hashesAtOnce {
			if _, err := h.turn(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := h.hash(t.Context(), "password"); !errors.Is(err, ErrBusy) {
			t.Fatalf("error = %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := h.check(ctx, "password", ""); !errors.Is(err, context.Canceled) {
			t.Fatalf("error = %v", err)
		}
	})
}
