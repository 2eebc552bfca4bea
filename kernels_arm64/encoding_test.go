package kernels_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"siskin/model/goldentest"
)

// encodings pairs uses of the macros with the instruction in Arm's notation and its word, as GNU as 2.40 assembles it.
var encodings = []struct {
	macro string
	args  []int
	word  uint32
	text  string
}{
	{"SDOT", []int{17, 10, 31}, 0x4E91955F, "sdot v31.4s, v10.16b, v17.16b"},
	{"SDOTE", []int{3, 17, 10, 31}, 0x4FB1E95F, "sdot v31.4s, v10.16b, v17.4b[3]"},
	{"SDOTE", []int{1, 31, 21, 0}, 0x4FBFE2A0, "sdot v0.4s, v21.16b, v31.4b[1]"},
	{"SDOTE", []int{2, 0, 31, 21}, 0x4F80EBF5, "sdot v21.4s, v31.16b, v0.4b[2]"},
	{"SMMLA", []int{17, 10, 31}, 0x4E91A55F, "smmla v31.4s, v10.16b, v17.16b"},
	{"SMULL", []int{17, 10, 31}, 0x0E31C15F, "smull v31.8h, v10.8b, v17.8b"},
	{"SMULL2", []int{17, 10, 31}, 0x4E31C15F, "smull2 v31.8h, v10.16b, v17.16b"},
	{"SMLAL", []int{17, 10, 31}, 0x0E31815F, "smlal v31.8h, v10.8b, v17.8b"},
	{"SMLAL2", []int{17, 10, 31}, 0x4E31815F, "smlal2 v31.8h, v10.16b, v17.16b"},
	{"SMLALE_4S", []int{5, 7, 10, 31}, 0x0F57295F, "smlal v31.4s, v10.4h, v7.h[5]"},
	{"SMLALE_4S", []int{2, 15, 21, 0}, 0x0F6F22A0, "smlal v0.4s, v21.4h, v15.h[2]"},
	{"SMLALE2_4S", []int{5, 7, 10, 31}, 0x4F57295F, "smlal2 v31.4s, v10.8h, v7.h[5]"},
	{"SMLALE2_4S", []int{3, 0, 31, 21}, 0x4F7023F5, "smlal2 v21.4s, v31.8h, v0.h[3]"},
	{"ADDP_8H", []int{17, 10, 31}, 0x4E71BD5F, "addp v31.8h, v10.8h, v17.8h"},
	{"ADDP_4S", []int{17, 10, 31}, 0x4EB1BD5F, "addp v31.4s, v10.4s, v17.4s"},
	{"SADDLP_8H", []int{21, 10}, 0x4E202AAA, "saddlp v10.8h, v21.16b"},
	{"SADDLP_4S", []int{21, 10}, 0x4E602AAA, "saddlp v10.4s, v21.8h"},
	{"SADALP_4S", []int{21, 10}, 0x4E606AAA, "sadalp v10.4s, v21.8h"},
	{"SADDLV_8H", []int{21, 10}, 0x4E703AAA, "saddlv s10, v21.8h"},
	{"BIC_16B", []int{17, 10, 31}, 0x4E711D5F, "bic v31.16b, v10.16b, v17.16b"},
	{"SQXTN_4H", []int{21, 10}, 0x0E614AAA, "sqxtn v10.4h, v21.4s"},
	{"SQXTN2_8H", []int{21, 10}, 0x4E614AAA, "sqxtn2 v10.8h, v21.4s"},
	{"SQXTN_8B", []int{21, 10}, 0x0E214AAA, "sqxtn v10.8b, v21.8h"},
	{"SQXTN2_16B", []int{21, 10}, 0x4E214AAA, "sqxtn2 v10.16b, v21.8h"},
	{"SXTL_8H", []int{21, 10}, 0x0F08A6AA, "sxtl v10.8h, v21.8b"},
	{"SXTL2_8H", []int{21, 10}, 0x4F08A6AA, "sxtl2 v10.8h, v21.16b"},
	{"SXTL_4S", []int{21, 10}, 0x0F10A6AA, "sxtl v10.4s, v21.4h"},
	{"SXTL2_4S", []int{21, 10}, 0x4F10A6AA, "sxtl2 v10.4s, v21.8h"},
	{"UMAXV_4S", []int{21, 10}, 0x6EB0AAAA, "umaxv s10, v21.4s"},
	{"ZERO", []int{21}, 0x6F00E415, "movi v21.2d, #0x0"},
	{"FADD_4S", []int{17, 10, 31}, 0x4E31D55F, "fadd v31.4s, v10.4s, v17.4s"},
	{"FSUB_4S", []int{17, 10, 31}, 0x4EB1D55F, "fsub v31.4s, v10.4s, v17.4s"},
	{"FMUL_4S", []int{17, 10, 31}, 0x6E31DD5F, "fmul v31.4s, v10.4s, v17.4s"},
	{"FMULE_4S", []int{3, 17, 10, 31}, 0x4FB1995F, "fmul v31.4s, v10.4s, v17.s[3]"},
	{"FMULE_4S", []int{1, 31, 21, 0}, 0x4FBF92A0, "fmul v0.4s, v21.4s, v31.s[1]"},
	{"FMULE_4S", []int{2, 0, 31, 21}, 0x4F809BF5, "fmul v21.4s, v31.4s, v0.s[2]"},
	{"FDIV_4S", []int{17, 10, 31}, 0x6E31FD5F, "fdiv v31.4s, v10.4s, v17.4s"},
	{"FMLA_4S", []int{17, 10, 31}, 0x4E31CD5F, "fmla v31.4s, v10.4s, v17.4s"},
	{"FMLAE_4S", []int{3, 17, 10, 31}, 0x4FB1195F, "fmla v31.4s, v10.4s, v17.s[3]"},
	{"FMLAE_4S", []int{1, 31, 21, 0}, 0x4FBF12A0, "fmla v0.4s, v21.4s, v31.s[1]"},
	{"FMLAE_4S", []int{2, 0, 31, 21}, 0x4F801BF5, "fmla v21.4s, v31.4s, v0.s[2]"},
	{"FMLS_4S", []int{17, 10, 31}, 0x4EB1CD5F, "fmls v31.4s, v10.4s, v17.4s"},
	{"FADDP_4S", []int{17, 10, 31}, 0x6E31D55F, "faddp v31.4s, v10.4s, v17.4s"},
	{"FMAX_4S", []int{17, 10, 31}, 0x4E31F55F, "fmax v31.4s, v10.4s, v17.4s"},
	{"FMIN_4S", []int{17, 10, 31}, 0x4EB1F55F, "fmin v31.4s, v10.4s, v17.4s"},
	{"FMAXV_4S", []int{21, 10}, 0x6E30FAAA, "fmaxv s10, v21.4s"},
	{"FNEG_4S", []int{21, 10}, 0x6EA0FAAA, "fneg v10.4s, v21.4s"},
	{"FCMGT_4S", []int{17, 10, 31}, 0x6EB1E55F, "fcmgt v31.4s, v10.4s, v17.4s"},
	{"FADD_2D", []int{17, 10, 31}, 0x4E71D55F, "fadd v31.2d, v10.2d, v17.2d"},
	{"FMLA_2D", []int{17, 10, 31}, 0x4E71CD5F, "fmla v31.2d, v10.2d, v17.2d"},
	{"SCVTF_4S", []int{21, 10}, 0x4E21DAAA, "scvtf v10.4s, v21.4s"},
	{"UCVTFN_4S", []int{8, 21, 10}, 0x6F38E6AA, "ucvtf v10.4s, v21.4s, #8"},
	{"UCVTFN_4S", []int{24, 10, 31}, 0x6F28E55F, "ucvtf v31.4s, v10.4s, #24"},
	{"FCVTNS_4S", []int{21, 10}, 0x4E21AAAA, "fcvtns v10.4s, v21.4s"},
	{"FCVTL_4S", []int{21, 10}, 0x0E217AAA, "fcvtl v10.4s, v21.4h"},
	{"FCVTL2_4S", []int{21, 10}, 0x4E217AAA, "fcvtl2 v10.4s, v21.8h"},
	{"FCVTN_4H", []int{21, 10}, 0x0E216AAA, "fcvtn v10.4h, v21.4s"},
	{"FCVTN2_8H", []int{21, 10}, 0x4E216AAA, "fcvtn2 v10.8h, v21.4s"},
	{"FCVTL_2D", []int{21, 10}, 0x0E617AAA, "fcvtl v10.2d, v21.2s"},
	{"FCVTL2_2D", []int{21, 10}, 0x4E617AAA, "fcvtl2 v10.2d, v21.4s"},
	{"SHLL_4S", []int{21, 10}, 0x2E613AAA, "shll v10.4s, v21.4h, #16"},
	{"SHLL2_4S", []int{21, 10}, 0x6E613AAA, "shll2 v10.4s, v21.8h, #16"},
}

// macro is one #define of the header.
type macro struct {
	params []string
	body   string
}

// readMacros parses the one-line macros of neon_arm64.h.
func readMacros(t *testing.T) map[string]macro {
	t.Helper()
	header, err := os.ReadFile("neon_arm64.h")
	if err != nil {
		t.Fatal(err)
	}
	macros := map[string]macro{}
	define := regexp.MustCompile(`(?m)^#define (\w+)\(([\w, ]*)\) (.*)$`)
	for _, m := range define.FindAllStringSubmatch(string(header), -1) {
		macros[m[1]] = macro{strings.Split(m[2], ", "), m[3]}
	}
	if n := bytes.Count(header, []byte("#define")); n != len(macros) {
		t.Fatalf("neon_arm64.h: %d of %d definitions have the form that the test understands", len(macros), n)
	}
	return macros
}

// expand replaces the parameters of m by args.
func (m macro) expand(args []string) string {
	return regexp.MustCompile(`\b[a-z]\b`).ReplaceAllStringFunc(m.body, func(s string) string {
		for i, p := range m.params {
			if s == p {
				return args[i]
			}
		}
		return s
	})
}

// word evaluates the formula of a WORD macro.
func word(t *testing.T, macros map[string]macro, name string, args []int) uint32 {
	t.Helper()
	m, ok := macros[name]
	if !ok || len(m.params) != len(args) {
		t.Fatalf("neon_arm64.h has no macro %s of %d arguments", name, len(args))
	}
	text := make([]string, len(args))
	for i, a := range args {
		text[i] = strconv.Itoa(a)
	}
	expr, ok := strings.CutPrefix(m.expand(text), "WORD $")
	if !ok {
		t.Fatalf("%s is not WORD $(...): %s", name, m.body)
	}
	expr = regexp.MustCompile(`ELEMH?\(\d+\)`).ReplaceAllStringFunc(expr, func(s string) string {
		name, index, _ := strings.Cut(s, "(")
		return macros[name].expand([]string{strings.TrimSuffix(index, ")")})
	})
	v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, expr)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	w, exact := constant.Uint64Val(v.Value)
	if !exact || w > 1<<32-1 {
		t.Fatalf("%s: %s is not a word", name, expr)
	}
	return uint32(w)
}

// TestEncodings evaluates every macro and compares with the published words; a macro without a line here fails.
func TestEncodings(t *testing.T) {
	macros := readMacros(t)
	seen := map[string]bool{"ELEM": true, "ELEMH": true}
	for _, e := range encodings {
		seen[e.macro] = true
		if got := word(t, macros, e.macro, e.args); got != e.word {
			t.Errorf("%s%v is %#08x, want %#08x, %s", e.macro, e.args, got, e.word, e.text)
		}
	}
	for name := range macros {
		if !seen[name] {
			t.Errorf("macro %s has no line in the table", name)
		}
	}
}

// TestDisassembly lets Go's assembler assemble the table and a disassembler of another project read the result.
func TestDisassembly(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		goldentest.Missing(t, "no go command in PATH to assemble with")
	}
	words := assemble(t, goTool)
	if len(words) != len(encodings) {
		t.Fatalf("assembled %d words, want %d", len(words), len(encodings))
	}
	for i, text := range disassemble(t, words) {
		if text != encodings[i].text {
			t.Errorf("%s%v disassembles to %q, want %q", encodings[i].macro, encodings[i].args, text, encodings[i].text)
		}
	}
}

// assemble returns the words that go tool asm makes of the table.
func assemble(t *testing.T, goTool string) []uint32 {
	t.Helper()
	dir := t.TempDir()
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	source := "#include \"neon_arm64.h\"\nTEXT ·table(SB), 4, $0-0\n"
	for _, e := range encodings {
		source += fmt.Sprintf("\t%s(%s)\n", e.macro, strings.Trim(strings.ReplaceAll(fmt.Sprint(e.args), " ", ", "), "[]"))
	}
	source += "\tRET\n"
	file, object := filepath.Join(dir, "table_arm64.s"), filepath.Join(dir, "table.o")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, goTool, "tool", "asm", "-p", "table", "-I", here, "-o", object, file)
	var words []uint32
	code := regexp.MustCompile(`(?m)^\s*\S+:\d+\s+0x[0-9a-f]+\s+([0-9a-f]{8})\s`)
	for _, m := range code.FindAllStringSubmatch(run(t, goTool, "tool", "objdump", object), -1) {
		w, err := strconv.ParseUint(m[1], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, uint32(w))
	}
	const ret = 0xD65F03C0
	for i, w := range words {
		if w == ret {
			return words[:i]
		}
	}
	t.Fatal("go tool objdump shows no return instruction")
	return nil
}

// disassemble returns one line of text per word, from GNU objdump or from llvm-mc.
func disassemble(t *testing.T, words []uint32) []string {
	t.Helper()
	var lines []string
	if tool, err := exec.LookPath("aarch64-linux-gnu-objdump"); err == nil {
		image := filepath.Join(t.TempDir(), "words")
		var code []byte
		for _, w := range words {
			code = binary.LittleEndian.AppendUint32(code, w)
		}
		if err := os.WriteFile(image, code, 0o600); err != nil {
			t.Fatal(err)
		}
		out := run(t, tool, "-D", "-z", "-b", "binary", "-m", "aarch64", image)
		for _, m := range regexp.MustCompile(`(?m)^\s+[0-9a-f]+:\t[0-9a-f]{8} \t(.*)$`).FindAllStringSubmatch(out, -1) {
			lines = append(lines, m[1])
		}
	} else if tool, err := exec.LookPath("llvm-mc"); err == nil {
		var hex strings.Builder
		for _, w := range words {
			fmt.Fprintf(&hex, "0x%02x 0x%02x 0x%02x 0x%02x\n", byte(w), byte(w>>8), byte(w>>16), byte(w>>24))
		}
		file := filepath.Join(t.TempDir(), "words")
		if err := os.WriteFile(file, []byte(hex.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(run(t, tool, "--disassemble", "--triple=aarch64", "--mattr=+dotprod", file)) {
			if f := strings.TrimSpace(line); f != "" && !strings.HasPrefix(f, ".") {
				lines = append(lines, strings.Replace(f, "#0000000000000000", "#0x0", 1))
			}
		}
	} else {
		goldentest.Missing(t, "neither aarch64-linux-gnu-objdump (Debian: binutils-aarch64-linux-gnu) nor llvm-mc (llvm) is installed")
	}
	if len(lines) != len(words) {
		t.Fatalf("disassembled %d lines of %d words", len(lines), len(words))
	}
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return lines
}

// run returns the output of a command for arm64.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
