// Command asm writes the assembly of package kernels for amd64, with the Go declarations of its functions. From the
// folder of this file:
//
//	GOWORK=off go run . ..
//
// The output depends on nothing but this program, so running it again changes no file.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: go run . FOLDER")
	}
	if err := generate(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

// generate writes all assembly files into dir, and one Go file with the declarations of all of them.
func generate(dir string) error {
	files := []struct {
		name string
		fill func(*asm)
	}{
		{"vnni_q4_amd64.s", vnniProducts(vnniQ40(), vnniQ41(), vnniIQ4NL())},
		{"vnni_q5_amd64.s", vnniProducts(vnniQ50(), vnniQ51(), vnniQ80())},
		{"vnni_q23k_amd64.s", vnniProducts(vnniQ2K(), vnniQ3K())},
		{"vnni_q4k_amd64.s", vnniProducts(vnniQ4K(), vnniIQ4XS())},
		{"vnni_q56k_amd64.s", vnniProducts(vnniQ5K(), vnniQ6K())},
		{"matmul_avx2_tile_amd64.s", tileProducts},
		{"matmul_avx2_unpack_amd64.s", tileUnpackers},
		{"matmul_avx2_vec_amd64.s", matVecs(false, true)},
		{"matmul_avx2_plain_amd64.s", matVecs(false, false)},
		{"matmul_avxvnni_amd64.s", vexTiles},
		{"matmul_avxvnni_vec_amd64.s", matVecs(true, true)},
		{"matmul_avxvnni_plain_amd64.s", matVecs(true, false)},
		{"matmul_float_amd64.s", floatKernels},
		{"vector_f32_amd64.s", vectorKernels},
		{"attention_amd64.s", attentionKernels},
		{"attention_int_amd64.s", integerAttention},
		{"attention_store_amd64.s", attentionStore},
		{"add_amd64.s", (*asm).add},
		{"peak_amd64.s", peakKernels},
	}
	cfg := printer.Config{Name: "the generator in _asm", Pkg: "kernels"}
	stubs := ir.NewFile()
	for _, f := range files {
		a := newAsm()
		f.fill(a)
		file, err := a.Result()
		if err != nil {
			build.LogError(log.Default(), err, 0)
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if err := pass.Compile.Execute(file); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if err := encodeVEX(file); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if err := checkRegisters(file); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if err := write(dir, f.name, printer.NewGoAsm(cfg), file); err != nil {
			return err
		}
		stubs.Constraints = file.Constraints
		stubs.Sections = append(stubs.Sections, file.Sections...)
	}
	return write(dir, "stubs_amd64.go", printer.NewStubs(cfg), stubs)
}

func write(dir, name string, p printer.Printer, f *ir.File) error {
	text, err := p.Print(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(filepath.Join(dir, name), text, 0o644)
}
