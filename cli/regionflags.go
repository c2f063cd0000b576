package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// regionFlags are the settings of a region; nil means not given.
type regionFlags struct {
	Name    *string `help:"Name that people read. Default: the slug." placeholder:"NAME"`
	Enabled *bool   `negatable:"" help:"Serve the region, or answer 503 to every chat call (default for a new region)."`

	Languages []string `help:"Languages, such as de,en or de=Deutsch,tlh=tlhIngan." placeholder:"CODE"`
	gateFlags `embed:""`

	ZammadURL                 *string `name:"zammad-url" help:"Address of the Zammad." placeholder:"URL"`
	ZammadGroup               *string `help:"Group in Zammad that new tickets go to." placeholder:"NAME"`
	ZammadTokenFile           *string `help:"File with the API token of the bridge's user in Zammad; -: standard input." placeholder:"FILE"`
	WebhookSignatureTokenFile *string `help:"File with the webhook's HMAC SHA1 signature token; -: standard input." placeholder:"FILE"`
	WebhookTokenFile          *string `help:"File with the ?token= of older webhooks, which have no signature; an empty file refuses them." placeholder:"FILE"`

	TitlePattern     *string `help:"Title of tickets, with {LANG} {lang} {region} {alias}; compat: as Integreat's first server wrote it." placeholder:"TEXT"`
	TagPattern       *string `help:"Tag of tickets, with {lang} {region}; -: none." placeholder:"TEXT"`
	CustomerLogin    *string `help:"Login of customers, with {alias}; without it all devices share one customer." placeholder:"TEXT"`
	CustomerName     *string `help:"Name of customers, with {alias} {LANG} {lang}." placeholder:"TEXT"`
	ArticleType      *string `help:"Zammad's article type of messages." placeholder:"TYPE"`
	ConsentAttribute *string `help:"Ticket attribute that takes the consent to evaluation; empty: none." placeholder:"NAME"`
	RevealTicketURL  *bool   `name:"reveal-ticket-url" negatable:"" help:"Tell devices the ticket's address in Zammad."`

	MaxText       *int `help:"Longest message, in characters. Default 10000." placeholder:"N"`
	RetentionDays *int `help:"Days that chats are kept after the last message. Default 180." placeholder:"N"`
	fileFlags     `embed:""`
	DocumentFile  *string `help:"JSON file with the keys of the region document that are only passed on to the app." placeholder:"FILE"`

	receptionFlags
	rightsFlags
	alertFlags
}

// apply changes region by the given flags.
func (f *regionFlags) apply(s *invocation, region *bridge.Region) error {
	set := &region.Settings
	assign(&region.Name, f.Name)
	assign(&region.Enabled, f.Enabled)
	assign(&set.ZammadGroup, f.ZammadGroup)
	assign(&set.TitlePattern, f.TitlePattern)
	assign(&set.TagPattern, f.TagPattern)
	assign(&set.CustomerLogin, f.CustomerLogin)
	assign(&set.CustomerName, f.CustomerName)
	assign(&set.ArticleType, f.ArticleType)
	assign(&set.ConsentAttribute, f.ConsentAttribute)
	assign(&set.RevealTicketURL, f.RevealTicketURL)
	assign(&set.MaxText, f.MaxText)
	assign(&set.RetentionDays, f.RetentionDays)
	f.fileFlags.apply(set)
	f.rightsFlags.apply(set)
	notices := set.Alert
	f.alertFlags.apply(&notices)
	region.MoveAlerts(notices)
	if set.TitlePattern == "compat" {
		set.TitlePattern = bridge.CompatTitlePattern
	}
	if f.Languages != nil {
		set.Languages = languages(f.Languages)
	}
	if f.ZammadURL != nil {
		clean, err := zammad.NormalizeURL(*f.ZammadURL)
		if err != nil {
			return invalid("--zammad-url: %w", err)
		}
		region.MoveTo(clean)
	}
	if err := errors.Join(f.gateFlags.apply(set), f.receptionFlags.apply(&set.Reception)); err != nil {
		return err
	}
	if f.IdentityKeysURL != nil {
		signer(region, "", "", *f.IdentityKeysURL)
	}
	return f.readFiles(s, region)
}

// flagOf names the flag of a field whose flag is not named as the field is.
var flagOf = map[string]string{
	"slug": "SLUG", "zammad_token": "--zammad-token-file", "webhook_secret": "--webhook-signature-token-file", "webhook_token": "--webhook-token-file",
	"privacy_token": "--zammad-privacy-token-file", "identity_secret": "--identity-secret-file", "identity_keys": "--identity-keys-file",
}

// refused gives what is wrong with a region in the words of the command line.
func refused(errs bridge.FieldErrors) error {
	var problems []error
	for _, e := range errs {
		field := strings.TrimPrefix(e.Field, "reception.")
		flag := cmp.Or(flagOf[field], "--"+strings.ReplaceAll(field, "_", "-"))
		switch group, inner, _ := strings.Cut(field, "."); group {
		case "texts":
			flag = "--texts-file"
			if inner != "" {
				flag += " (" + inner + ")"
			}
		case "document":
			flag = "--document-file (" + inner + ")"
		}
		problems = append(problems, invalid("%s: %s", flag, e.Sentence))
	}
	return errors.Join(problems...)
}

func assign[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// readFiles takes over what stands in files: secrets and the document.
func (f *regionFlags) readFiles(s *invocation, region *bridge.Region) error {
	stdinUsed := false
	read := func(flag string, path *string, use func([]byte) error) error {
		if path == nil {
			return nil
		}
		if *path == "-" && stdinUsed {
			return invalid("%s: %w", flag, errTwoInputs)
		}
		stdinUsed = stdinUsed || *path == "-"
		content, err := s.readInput(*path)
		if err == nil {
			err = use(content)
		}
		if err != nil {
			return invalid("%s: %w", flag, err)
		}
		return nil
	}
	return errors.Join(
		read("--zammad-token-file", f.ZammadTokenFile, secretInto(&region.ZammadToken, false)),
		read("--webhook-signature-token-file", f.WebhookSignatureTokenFile, secretInto(&region.WebhookSecret, false)),
		read("--webhook-token-file", f.WebhookTokenFile, secretInto(&region.WebhookToken, true)),
		read("--zammad-privacy-token-file", f.ZammadPrivacyTokenFile, secretInto(&region.PrivacyToken, true)),
		read("--identity-secret-file", f.IdentitySecretFile, func(content []byte) error {
			signer(region, "", "", "")
			return secretInto(&region.IdentitySecret, false)(content)
		}),
		read("--identity-keys-file", f.IdentityKeysFile, func(content []byte) error {
			signer(region, "", strings.TrimSpace(string(content)), "")
			return nil
		}),
		read("--alert-webhook-secret-file", f.AlertWebhookSecretFile, secretInto(&region.AlertSecret, true)),
		read("--alert-ntfy-token-file", f.AlertNtfyTokenFile, secretInto(&region.AlertToken, true)),
		read("--document-file", f.DocumentFile, func(content []byte) error {
			decoder := json.NewDecoder(bytes.NewReader(content))
			decoder.DisallowUnknownFields()
			var document bridge.RegionDocument
			if err := decoder.Decode(&document); err != nil {
				return fmt.Errorf("region document: %w", err)
			}
			region.Settings.Document = document
			return nil
		}),
		read("--texts-file", f.TextsFile, textsInto(&region.Settings.Reception)),
	)
}

// maxInput is the largest file that a flag may name, in bytes. One byte more is
// read, so that a larger one is seen to be too large.
const maxInput = 1 << 20

func (s *invocation) readInput(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(s.Stdin, maxInput+1))
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, maxInput+1))
	return content, errors.Join(err, file.Close())
}

// secretInto takes the content of a file as a secret. It has one line of
// visible characters; the errors do not repeat it.
func secretInto(to *bridge.Secret, mayBeEmpty bool) func([]byte) error {
	return func(content []byte) error {
		secret := strings.TrimSpace(string(content))
		hidden := func(r rune) bool { return r <= ' ' || r > '~' }
		switch {
		case secret == "" && !mayBeEmpty:
			return errors.New("the file is empty")
		case len(secret) > 1000 || strings.IndexFunc(secret, hidden) >= 0:
			return errors.New("a secret is one line of up to 1000 visible ASCII characters")
		}
		*to = bridge.Secret(secret)
		return nil
	}
}

// fileFlags are the settings of a region about files; nil means not given.
type fileFlags struct {
	FileKinds      []string `help:"Kinds of files that devices may send: jpeg,png,webp,pdf,text; all; none. Default: all." placeholder:"KIND"`
	MaxFiles       *int     `help:"Files of a message. Default, and at most: what the configuration allows (limits.files)." placeholder:"N"`
	MaxFileBytes   *int64   `help:"Largest file, in bytes. The same (limits.file_bytes)." placeholder:"N"`
	MaxFilesBytes  *int64   `help:"All files of a message, in bytes. The same (limits.message_file_bytes)." placeholder:"N"`
	KeepFilesHours *int     `help:"Hours that a user's file stays here after Zammad has shown that it has it. Default 24." placeholder:"N"`
}

// apply changes settings by the given flags.
func (f *fileFlags) apply(set *bridge.RegionSettings) {
	assign(&set.MaxFiles, f.MaxFiles)
	assign(&set.MaxFileBytes, f.MaxFileBytes)
	assign(&set.MaxFilesBytes, f.MaxFilesBytes)
	assign(&set.KeepFilesHours, f.KeepFilesHours)
	if f.FileKinds != nil {
		set.FileKinds = f.FileKinds
		if slices.Equal(f.FileKinds, []string{"all"}) {
			set.FileKinds = nil
		}
	}
}
