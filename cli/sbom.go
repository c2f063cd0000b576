package cli

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"runtime/debug"
	"strings"
)

// bill is a bill of materials in the words of CycloneDX 1.6, as far as they are
// needed here.
type bill struct {
	Format     string     `json:"bomFormat"`
	Spec       string     `json:"specVersion"`
	Version    int        `json:"version"`
	Metadata   billOf     `json:"metadata"`
	Components []material `json:"components"`
}

type billOf struct {
	Component material `json:"component"`
}

type material struct {
	Type    string         `json:"type"`
	Ref     string         `json:"bom-ref"`
	Name    string         `json:"name"`
	Version string         `json:"version"`
	PURL    string         `json:"purl"`
	Hashes  []materialHash `json:"hashes,omitempty"`
}

type materialHash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

// billOfMaterials lists what is in the binary: modules, Go's own library, and
// scripts of others.
func billOfMaterials(info *debug.BuildInfo) bill {
	b := bill{Format: "CycloneDX", Spec: "1.6", Version: 1}
	b.Metadata.Component = module(&info.Main)
	b.Metadata.Component.Type = "application"
	std, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
	b.Components = append(b.Components, module(&debug.Module{Path: "std", Version: std}))
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		b.Components = append(b.Components, module(m))
	}
	// What the console serves of others; app holds that they are as released.
	b.Components = append(b.Components, npm("htmx.org", "4.0.1"), npm("uplot", "1.6.32"))
	return b
}

func module(m *debug.Module) material {
	purl := "pkg:golang/" + m.Path + "@" + url.QueryEscape(m.Version) // versions may have a plus
	return material{Type: "library", Ref: purl, Name: m.Path, Version: m.Version, PURL: purl, Hashes: hashes(m.Sum)}
}

// hashes gives the checksum of go.sum: SHA-256 over the checksums of all files of
// a module ("h1").
func hashes(sum string) []materialHash {
	encoded, ok := strings.CutPrefix(sum, "h1:")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		return nil
	}
	return []materialHash{{"SHA-256", hex.EncodeToString(raw)}}
}

func npm(name, version string) material {
	purl := "pkg:npm/" + name + "@" + version
	return material{Type: "library", Ref: purl, Name: name, Version: version, PURL: purl}
}

func writeBill(w io.Writer, info *debug.BuildInfo) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(billOfMaterials(info)); err != nil {
		return fmt.Errorf("write the bill of materials: %w", err)
	}
	return nil
}
