package bridge

import "fmt"

// Finding is what an examination of a region's desk found: one line, with the
// mend where something is wrong.
type Finding struct {
	OK       bool
	Code     string // stable, such as "token_refused"
	Sentence string // in English
	Mend     string // what to do, in English; empty where nothing is wrong
	Args     []any  // the values in Sentence, for other languages
	// Err is the cause, for operators. It may name addresses of the inner
	// network, so the console does not show it.
	Err error
}

// Found makes a Finding of a code of findings.
func Found(code string, err error, args ...any) Finding {
	known := findings[code]
	return Finding{OK: known.ok, Code: code, Sentence: fmt.Sprintf(known.sentence, args...), Mend: known.mend, Args: args, Err: err}
}

// findings are the codes of findings. Nothing writes to it.
var findings = map[string]struct {
	ok             bool
	sentence, mend string
}{
	"no_zammad":       {false, "The region has no address or no token of a Zammad.", "set address, group and token"},
	"answers":         {true, "%s answers, the token is of %s", ""},
	"rights":          {true, "the user has the rights in group %s", ""},
	"privacy":         {true, "the second token may erase customers", ""},
	"bad_address":     {false, "The address of the Zammad cannot be used.", "set another address"},
	"refused_address": {false, "Deskbridge does not connect to %s: it is inside a private network, or its port is not an ordinary one.", "set a public address, or add this one to egress.allow in the configuration"},
	"unreachable":     {false, "At %s no Zammad answers.", "check the address and the way there (DNS, firewall, TLS), and that Zammad runs"},
	"token_refused":   {false, "%s does not know the token.", "make a new token for the bridge's user in Zammad and set it here"},
	"token_forbidden": {false, "%s does not let the token in.", "in Zammad: switch on API access by token (Manage > System > API), give the token the permission ticket.agent, end a maintenance mode"},
	"no_such_zammad":  {false, "What answers at %s fails, or is no Zammad.", "check that the address is a Zammad's; its production.log knows more"},
	"rights_missing":  {false, "in group %q the user lacks the rights %s", "in Zammad: give the bridge's user full rights in the group (Manage > Users)"},
	"group_unknown":   {false, "there is no group %q that the user can see", "make the group in Zammad, or name another"},
	"group_off":       {false, "the group %q is switched off", "switch it on in Zammad (Manage > Groups)"},
	"privacy_refused": {false, "The second token may not erase customers.", "give the token the permission admin.data_privacy, or let erasures anonymise"},
}

// FindingCodes lists the codes of findings, and of each whether all is well, for
// whoever says them in another language.
func FindingCodes() map[string]bool {
	codes := make(map[string]bool, len(findings))
	for code, f := range findings {
		codes[code] = f.ok
	}
	return codes
}
