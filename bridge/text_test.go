package bridge

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCleanText(t *testing.T) {
	for name, c := range map[string]struct {
		in, want string
		err      error
	}{
		"plain":                        {"Hello", "Hello", nil},
		"spaces stay":                  {"  two  spaces ", "  two  spaces ", nil},
		"CRLF":                         {"a\r\nb\nc", "a\nb\nc", nil},
		"a lone CR is a control":       {"a\rb", "ab", nil},
		"tab and line feed stay":       {"a\tb\n", "a\tb\n", nil},
		"controls go":                  {"a\x01\x1b\x7f\u0085b", "ab", nil},
		"noncharacters go":             {"a\ufffe\uffff\ufdd0\U0001ffffb", "ab", nil},
		"the replacement char stays":   {"a\ufffdb", "a\ufffdb", nil},
		"joiners and marks stay":       {"👩\u200d👩\u200d👧 \u202babc\u202c e\u0301", "👩\u200d👩\u200d👧 \u202babc\u202c e\u0301", nil},
		"empty":                        {"", "", ErrMessageEmpty},
		"spaces only":                  {" \t\n\u00a0\u3000", "", ErrMessageEmpty},
		"invisible only":               {"\u200b\u200d\ufeff", "", ErrMessageEmpty},
		"controls only":                {"\x01\x02", "", ErrMessageEmpty},
		"NUL":                          {"a\x00b", "", ErrMessageText},
		"not UTF-8":                    {"a\xff", "", ErrMessageText},
		"as long as it may be":         {strings.Repeat("ü", 20), strings.Repeat("ü", 20), nil},
		"longer":                       {strings.Repeat("ü", 21), "", ErrMessageTooLong},
		"counted after CRLF became LF": {strings.Repeat("\r\n", 10) + strings.Repeat("x", 10), strings.Repeat("\n", 10) + strings.Repeat("x", 10), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := CleanText(c.in, 20)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("CleanText(%q) = %q, %v; want %q, %v", c.in, got, err, c.want, c.err)
			}
		})
	}
}

func FuzzCleanText(f *testing.F) {
	for _, seed := range []string{"a\r\nb", "\x00", "\xff", "  x", "\u200b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := CleanText(in, 1000)
		if err != nil {
			if got != "" {
				t.Fatalf("text %q with error %v", got, err)
			}
			return
		}
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\r\x7f") || utf8.RuneCountInString(got) > 1000 {
			t.Fatalf("%q is not clean", got)
		}
		if again, err := CleanText(got, 1000); again != got || err != nil {
			t.Fatalf("cleaning twice gives %q, %v", again, err)
		}
	})
}

func TestHeaderNamesTheMessage(t *testing.T) {
	uuid := MessageUUID("11111111-1111-4111-8111-111111111111")
	if got, ok := ParseHeader(uuid.Header()); !ok || got != uuid {
		t.Fatalf("ParseHeader(%q) = %q, %v", uuid.Header(), got, ok)
	}
	for _, foreign := range []string{"", "<>", "<@deskbridge>", "11@deskbridge>", "<11@deskbridge", "<a@example.org>"} {
		if got, ok := ParseHeader(foreign); ok {
			t.Errorf("ParseHeader(%q) = %q: that is not ours", foreign, got)
		}
	}
}

func TestDeviceIDs(t *testing.T) {
	for id, ok := range map[string]bool{
		"7d1f3c3e-3b0a-4f0e-9f8e-2b8f7f1f5a11": true, "a": true, "A_b.c~d:e@f+g=": true, strings.Repeat("x", 200): true,
		"": false, strings.Repeat("x", 201): false, "a b": false, "a/b": false, "ä": false, "a\n": false, "a%": false, "<x>": false, "a\x00": false,
	} {
		if err := CheckDeviceID(id); (err == nil) != ok {
			t.Errorf("CheckDeviceID(%q) = %v", id, err)
		}
	}
}

func TestHashNeedsTheKey(t *testing.T) {
	one, other := NewHasher([]byte("one")), NewHasher([]byte("other"))
	first, again := one.Hash("device"), one.Hash("device")
	if first != again || first == other.Hash("device") || first == one.Hash("Device") {
		t.Fatal("a hash must depend on the key and the id, and on nothing else")
	}
	if s := one.Hash("device").String(); len(s) != 8 {
		t.Fatalf("printed form %q shows more than a short prefix", s)
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	secret := Secret("s3cr3t")
	for _, shown := range []string{secret.String(), secret.GoString(), secret.LogValue().String()} {
		if strings.Contains(shown, "s3cr3t") {
			t.Fatalf("shown: %s", shown)
		}
	}
	text, err := secret.MarshalText()
	if err != nil || strings.Contains(string(text), "s3cr3t") {
		t.Fatalf("marshalled: %s, %v", text, err)
	}
}

func TestCatalogueHasEveryCodeOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Catalogue() {
		if seen[e.Code] || e.Code == "" || e.Sentence == "" || e.Status < 400 {
			t.Errorf("bad entry %+v", *e)
		}
		seen[e.Code] = true
	}
}
