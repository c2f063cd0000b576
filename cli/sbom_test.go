package cli_test

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestBillOfMaterials: every module of go.mod that is in the program stands
// there with the checksum of go.sum, and so do the scripts of others.
func TestBillOfMaterials(t *testing.T) {
	t.Parallel()
	var bill struct {
		BOMFormat, SpecVersion string
		Components             []struct {
			Name, Version, PURL string
			Hashes              []struct{ Alg, Content string }
		}
	}
	// The program of a test knows nothing of its modules.
	program := filepath.Join(t.TempDir(), "deskbridge")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "deskbridge").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program, "version", "--sbom").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &bill); err != nil {
		t.Fatal(err)
	}
	if bill.BOMFormat != "CycloneDX" || bill.SpecVersion != "1.6" {
		t.Errorf("%s %s", bill.BOMFormat, bill.SpecVersion)
	}
	listed := map[string]string{}
	digest := regexp.MustCompile(`^[0-9a-f]{64}$`)
	for _, c := range bill.Components {
		if listed[c.Name] != "" {
			t.Errorf("%s stands there twice", c.Name)
		}
		listed[c.Name] = c.Version
		goes := strings.HasPrefix(c.PURL, "pkg:golang/"+c.Name+"@") && c.Name != "std"
		if c.Version == "" || goes && (len(c.Hashes) != 1 || c.Hashes[0].Alg != "SHA-256" || !digest.MatchString(c.Hashes[0].Content)) {
			t.Errorf("%+v", c)
		}
	}
	gomod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil || len(info.Deps) < 30 {
		t.Fatalf("the build knows of %d modules (%v)", len(info.Deps), err)
	}
	for _, m := range info.Deps {
		if listed[m.Path] != m.Version || !strings.Contains(string(gomod), m.Path+" "+m.Version) {
			t.Errorf("%s %s is in the program; the bill has version %q", m.Path, m.Version, listed[m.Path])
		}
	}
	foreign, err := filepath.Glob("../admin/static/*.min.js")
	if err != nil || len(foreign) == 0 {
		t.Fatal(foreign, err)
	}
	for _, path := range foreign {
		name := strings.TrimSuffix(filepath.Base(path), ".min.js")
		if listed[name]+listed[name+".org"] == "" {
			t.Errorf("%s is of others and not in the bill", path)
		}
	}
}
