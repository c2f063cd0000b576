package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"deskbridge/app"
	"deskbridge/bridge"
	"deskbridge/staff"
)

type userCmd struct {
	Add     userAddCmd     `cmd:"" help:"Add a person, and print a link by which the person sets a password."`
	List    userListCmd    `cmd:"" help:"List all accounts."`
	Disable userDisableCmd `cmd:"" help:"Let a person in no more; running sessions end at once."`
	Enable  userEnableCmd  `cmd:"" help:"Let a person in again."`
	Role    userRoleCmd    `cmd:"" help:"Give a person another role, or other regions."`
	Link    userLinkCmd    `cmd:"" help:"Print a link by which a person sets a new password, and which unlocks the account. It works once, for 24 hours."`
	TOTPOff userTOTPOffCmd `cmd:"" name:"totp-off" help:"Remove a person's second factor, as when a phone is lost."`
}

// roleFlags say what somebody may do.
type roleFlags struct {
	Role   string   `required:"" enum:"operator,admin,viewer" help:"operator: everything; admin: runs regions; viewer: reads regions."`
	Region []string `help:"A region of an admin or viewer; may be given several times." placeholder:"SLUG"`
}

func (f roleFlags) apply(a *app.App, p *staff.Person) error {
	p.Role, p.Regions = staff.Role(f.Role), nil
	if p.Role == staff.Operator && len(f.Region) > 0 {
		return coded(ExitUsage, errors.New("an operator may do everything everywhere; leave --region out"))
	}
	for _, slug := range f.Region {
		region, ok := a.Regions.BySlug(slug)
		if !ok {
			return coded(ExitNotFound, fmt.Errorf("there is no region %q", slug))
		}
		p.Regions = append(p.Regions, region.ID)
	}
	return nil
}

type userAddCmd struct {
	Login string `arg:"" help:"What the person types to sign in, such as the e-mail address. Sign-in by an OpenID provider needs its verified address."`
	Name  string `required:"" help:"Name, as colleagues see it."`
	roleFlags
	Language      string `enum:"de,en," default:"" help:"Language of the console: de or en; empty: the browser's."`
	PasswordStdin bool   `help:"Read a password from standard input instead of printing a link."`
	JSON          bool   `name:"json" help:"Print as JSON."`
}

// Run adds the person.
func (c *userAddCmd) Run(s *invocation) error {
	password := ""
	if c.PasswordStdin {
		text, err := io.ReadAll(io.LimitReader(s.Stdin, 4<<10))
		if err != nil {
			return fmt.Errorf("read the password: %w", err)
		}
		if password = strings.TrimRight(string(text), "\r\n"); password == "" {
			return invalid("standard input holds no password")
		}
	}
	return s.withApp(func(a *app.App) error {
		p := staff.Person{Login: c.Login, Name: c.Name, Language: c.Language}
		if err := c.apply(a, &p); err != nil {
			return err
		}
		id, err := a.Accounts.Add(s.ctx, p, password)
		if err != nil {
			return about(c.Login, err)
		}
		return s.tellAccount(a, id, password == "", c.JSON)
	})
}

// tellAccount prints an account, and a new link for it where one is wanted.
func (s *invocation) tellAccount(a *app.App, id staff.ID, link, asJSON bool) error {
	account, err := a.Accounts.ByID(s.ctx, id)
	if err != nil {
		return err
	}
	v := viewAccount(a, account)
	if link {
		if v.Link, err = a.Link(s.ctx, id); err != nil {
			return about(account.Login, err)
		}
	}
	if asJSON {
		return s.printJSON(v)
	}
	s.printf("%s (%s): %s\n", v.Login, v.Name, v.rights())
	if v.Link != "" {
		s.printf("This link sets the password. It works once, for 24 hours; whoever has it is %s:\n\n  %s\n", v.Login, v.Link)
	}
	return nil
}

// accountView is an account as commands print it.
type accountView struct {
	Login        string     `json:"login"`
	Name         string     `json:"name"`
	Role         staff.Role `json:"role"`
	Regions      []string   `json:"regions"`
	Language     string     `json:"language"`
	Disabled     bool       `json:"disabled"`
	Password     bool       `json:"has_password"`
	SecondFactor bool       `json:"has_second_factor"`
	Identity     bool       `json:"has_identity"` // at the OpenID provider
	SignedInAt   time.Time  `json:"signed_in_at,omitzero"`
	Link         string     `json:"link,omitempty"`
}

func viewAccount(a *app.App, account *staff.Account) accountView {
	v := accountView{
		Login: account.Login, Name: account.Name, Role: account.Role, Regions: []string{}, Language: account.Language, Disabled: account.Disabled,
		Password: account.HasPassword, SecondFactor: account.HasTOTP, Identity: account.Subject != "", SignedInAt: account.SignedInAt,
	}
	for _, region := range a.Regions.All() {
		if slices.Contains(account.Regions, region.ID) {
			v.Regions = append(v.Regions, region.Slug)
		}
	}
	return v
}

// rights says in words what an account may do.
func (v accountView) rights() string {
	return strings.TrimSpace(string(v.Role) + " " + strings.Join(v.Regions, ", "))
}

type userListCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// Run lists the accounts.
func (c *userListCmd) Run(s *invocation) error {
	return s.withApp(func(a *app.App) error {
		accounts, err := a.Store.Staff(s.ctx)
		if err != nil {
			return fmt.Errorf("accounts: %w", err)
		}
		views := make([]accountView, 0, len(accounts))
		for _, account := range accounts {
			views = append(views, viewAccount(a, &account))
		}
		if c.JSON {
			return s.printJSON(views)
		}
		t := s.table("LOGIN", "NAME", "ROLE", "REGIONS", "STATE", "PROOF", "SIGNED IN")
		for _, v := range views {
			seen := "never"
			if !v.SignedInAt.IsZero() {
				seen = v.SignedInAt.Format(time.RFC3339)
			}
			t.row(v.Login, v.Name, string(v.Role), cmp.Or(strings.Join(v.Regions, ","), "all"), map[bool]string{false: "on", true: "disabled"}[v.Disabled], v.proof(), seen)
		}
		return t.flush()
	})
}

// proof says how the person signs in.
func (v accountView) proof() string {
	text := "none yet"
	switch {
	case v.Password && v.Identity:
		text = "password/provider"
	case v.Password:
		text = "password"
	case v.Identity:
		text = "provider"
	}
	if v.SecondFactor {
		text += "+code"
	}
	return text
}

// loginArg names an account.
type loginArg struct {
	Login string `arg:"" help:"The account."`
}

// with opens the installation and finds the account.
func (l loginArg) with(s *invocation, use func(*app.App, *staff.Account) error) error {
	return s.withApp(func(a *app.App) error {
		found, err := a.Store.StaffByLogin(s.ctx, strings.ToLower(l.Login))
		if err != nil {
			return about(l.Login, err)
		}
		return about(l.Login, use(a, &found.Account))
	})
}

// change changes the account.
func (l loginArg) change(s *invocation, by func(*app.App, *staff.Person) error) error {
	return l.with(s, func(a *app.App, account *staff.Account) error {
		to := account.Person
		if err := by(a, &to); err != nil {
			return err
		}
		if err := a.Accounts.Change(s.ctx, account.Person, to); err != nil {
			return err
		}
		return s.tellAccount(a, account.ID, false, false)
	})
}

type userDisableCmd struct{ loginArg }

// Run disables the account.
func (c *userDisableCmd) Run(s *invocation) error {
	return c.change(s, func(_ *app.App, p *staff.Person) error { p.Disabled = true; return nil })
}

type userEnableCmd struct{ loginArg }

// Run enables the account.
func (c *userEnableCmd) Run(s *invocation) error {
	return c.change(s, func(_ *app.App, p *staff.Person) error { p.Disabled = false; return nil })
}

type userRoleCmd struct {
	loginArg
	roleFlags
}

// Run changes role and regions; running sessions end with another role.
func (c *userRoleCmd) Run(s *invocation) error { return c.change(s, c.apply) }

type userLinkCmd struct {
	loginArg
	JSON bool `name:"json" help:"Print as JSON."`
}

// Run prints a new link; earlier ones of the person are void.
func (c *userLinkCmd) Run(s *invocation) error {
	return c.with(s, func(a *app.App, account *staff.Account) error {
		if account.Disabled {
			return coded(ExitConflict, errors.New("the account is disabled; enable it first"))
		}
		return s.tellAccount(a, account.ID, true, c.JSON)
	})
}

type userTOTPOffCmd struct{ loginArg }

// Run removes the second factor.
func (c *userTOTPOffCmd) Run(s *invocation) error {
	return c.with(s, func(a *app.App, account *staff.Account) error {
		if !account.HasTOTP {
			s.printf("%s has no second factor\n", account.Login)
			return nil
		}
		if _, err := a.Store.SetTOTP(s.ctx, account.ID, "", 0); err != nil {
			return err
		}
		s.printf("%s signs in without a second factor now\n", account.Login)
		return nil
	})
}

// about gives an error about an account its exit code.
func about(login string, err error) error {
	var withCode *codedError
	code := ExitInput
	switch {
	case err == nil || errors.As(err, &withCode):
		return err
	case errors.Is(err, staff.ErrNobody):
		code = ExitNotFound
	case errors.Is(err, staff.ErrLoginTaken), errors.Is(err, staff.ErrLastOperator), errors.Is(err, staff.ErrChanged):
		code = ExitConflict
	case errors.Is(err, bridge.ErrStorage):
		code = ExitDatabase
	}
	return coded(code, fmt.Errorf("account %s: %w", login, err))
}
