package app_test

import (
	"go/ast"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// service is what of a service in compose.yaml is looked at.
type service struct {
	Image       string
	Build       string
	Ports       []string
	Environment map[string]string
	Command     []string
	Secrets     []string
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
}

// TestComposeKeepsItsSecrets: passwords are random, in files, and wanted by
// everything that is asked; only this machine reaches the port.
func TestComposeKeepsItsSecrets(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]service
		Secrets  map[string]struct{ File string }
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	for name, s := range compose.Services {
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: the port %s is open to others", name, port)
			}
		}
		if _, tag, _ := strings.Cut(s.Image, ":"); s.Build == "" && (tag == "" || tag == "latest") {
			t.Errorf("%s: the image %q is any version", name, s.Image)
		}
		for key, value := range s.Environment {
			if strings.Contains(value, "://") || strings.Contains(key, "PASSWORD") && !strings.HasSuffix(key, "_FILE") && key != "MARIADB_RANDOM_ROOT_PASSWORD" {
				t.Errorf("%s: %s says in the open what belongs into a secret", name, key)
			}
		}
		for _, secret := range s.Secrets {
			if file := compose.Secrets[secret].File; file != "./secrets/"+secret || !strings.Contains(string(text), "> secrets/"+secret+"\n") {
				t.Errorf("%s: the secret %s is in %q, and must be made by a line of the head", name, secret, file)
			}
		}
	}
	bridge, redis := compose.Services["bridge"], compose.Services["redis"]
	if !bridge.ReadOnly || !slices.Equal(bridge.CapDrop, []string{"ALL"}) || !slices.Contains(bridge.SecurityOpt, "no-new-privileges:true") {
		t.Errorf("the bridge may more than it needs: %+v", bridge)
	}
	if !strings.Contains(string(text), "'requirepass %s\\n' \"$pw\" > secrets/redis_conf") || !slices.Contains(redis.Command, "/run/secrets/redis_conf") {
		t.Error("Redis asks for no password")
	}
	if random := strings.Count(string(text), "pw=$(openssl rand -hex 24)"); random != 2 {
		t.Errorf("%d random passwords for two servers", random)
	}
}

// TestProxiesOfTheExamples: each example of a proxy says that the host is by TLS
// only, and keeps device ids out of logs.
func TestProxiesOfTheExamples(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, block := range regexp.MustCompile("(?s)```(nginx|caddy)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		found[block[1]] += block[2]
	}
	for kind, wants := range map[string][]string{
		"nginx": {`add_header Strict-Transport-Security "max-age=31536000" always;`, "access_log off;", "listen 443 ssl;"},
		"caddy": {`header Strict-Transport-Security "max-age=31536000"`, `No "log" directive`},
	} {
		for _, want := range wants {
			if !strings.Contains(found[kind], want) {
				t.Errorf("the example for %s lacks %s", kind, want)
			}
		}
	}
}

// TestAlarmsAreAboutLinesThatThereAre: each line of the log that operate.md rings
// for is written somewhere, word for word, and its fields are.
func TestAlarmsAreAboutLinesThatThereAre(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "### Alarms\n")
	section, _, _ = strings.Cut(section, "\n## ")
	table, rules, _ := strings.Cut(section, "```yaml\n")
	rules, _, _ = strings.Cut(rules, "```")
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(rules), &file); err != nil || len(file.Groups) != 1 || len(file.Groups[0].Rules) < 5 {
		t.Fatalf("the rules: %+v %v", file, err)
	}
	lines, fields := map[string]bool{}, map[string]bool{"app": true}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(table, -1) {
		lines[row[1]] = false
	}
	for _, rule := range file.Groups[0].Rules {
		said := regexp.MustCompile("\\|= `\"([^\"`]+)\"`").FindStringSubmatch(rule.Expr)
		if said == nil {
			t.Errorf("%s looks for no line: %s", rule.Alert, rule.Expr)
			continue
		}
		if _, listed := lines[said[1]]; !listed {
			t.Errorf("%s looks for %q, which the table does not explain", rule.Alert, said[1])
		}
		for _, field := range regexp.MustCompile(`by \((\w+)\)|unwrap (\w+)|\| (\w+) =~`).FindAllStringSubmatch(rule.Expr, -1) {
			fields[strings.Join(field[1:], "")] = false
		}
	}
	eachFile(t, func(path, _ string, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			for i, arg := range call.Args {
				literal, ok := arg.(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING {
					continue
				}
				said, _ := strconv.Unquote(literal.Value)
				if _, wanted := lines[said]; wanted && i <= 2 {
					lines[said] = true
				}
				if _, wanted := fields[said]; wanted {
					fields[said] = true
				}
			}
			return true
		})
	})
	for said, there := range lines {
		if !there {
			t.Errorf("nobody writes the line %q", said)
		}
	}
	for name, there := range fields {
		if !there {
			t.Errorf("no line has the field %s", name)
		}
	}
	if len(lines) < 7 {
		t.Errorf("only %d lines were found in the table", len(lines))
	}
}
