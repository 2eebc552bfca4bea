// The generator runs on its own module graph: the product does not depend on it. avo 0.6.0 asks for x/tools 0.16, which
// Go 1.26 does not compile, hence the newer one.
module asm

go 1.26.0

require github.com/mmcloughlin/avo v0.6.0

require (
	golang.org/x/mod v0.28.0 // indirect
	golang.org/x/sync v0.17.0 // indirect
	golang.org/x/tools v0.37.0 // indirect
)
