package gate

// maxVersionPart bounds one number of a version, so that nothing overflows.
const maxVersionPart = 1_000_000_000

// ValidVersion says whether s is a version that the gate can compare: numbers
// with dots between them ("2026.8.1"), after which "-" or "+" may begin a
// suffix that is not compared ("2026.8.1-beta.2"). A leading "v" is allowed.
func ValidVersion(s string) bool {
	if s == "" {
		return false
	}
	for rest, more := trimV(s), true; more; {
		var ok bool
		if _, rest, more, ok = nextPart(rest); !ok {
			return false
		}
	}
	return true
}

// olderThan says whether version is before least. It is false where either is
// no version: what an app says of itself is a hint and no proof, and an app
// that says nothing sensible is treated like one that says nothing. Missing
// numbers count as 0, so "2.1" and "2.1.0" are the same.
func olderThan(version, least string) bool {
	if !ValidVersion(version) || !ValidVersion(least) {
		return false
	}
	a, b := trimV(version), trimV(least)
	for moreA, moreB := true, true; moreA || moreB; {
		var x, y int
		if moreA {
			x, a, moreA, _ = nextPart(a)
		}
		if moreB {
			y, b, moreB, _ = nextPart(b)
		}
		if x != y {
			return x < y
		}
	}
	return false
}

func trimV(s string) string {
	if s != "" && (s[0] == 'v' || s[0] == 'V') {
		return s[1:]
	}
	return s
}

// nextPart reads one number and says whether a dot, and with it another number,
// follows. ok is false for anything that is not a number.
func nextPart(s string) (n int, rest string, more, ok bool) {
	i := 0
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		if n = n*10 + int(s[i]-'0'); n >= maxVersionPart {
			return 0, "", false, false
		}
	}
	switch {
	case i == 0:
		return 0, "", false, false
	case i == len(s) || s[i] == '-' || s[i] == '+':
		return n, "", false, true
	case s[i] == '.':
		return n, s[i+1:], true, true
	}
	return 0, "", false, false
}
