# siskin. Every target is a few lines that can be typed by hand; "make help" lists them.

GO      ?= go
BIN     := bin/siskin
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.version=$(VERSION)
MODEL   := models/SmolLM2-135M-Instruct.Q4_1.gguf
TOOLS   := .ci/tools.mod
LINT    := bin/golangci-lint

# The product is pure Go: no C compiler is used. Only the race detector needs one.
export CGO_ENABLED := 0
export GOWORK := off

.PHONY: run build model vuln soak test test-race test-durable test-purego test-arm64 check fmt vet lint generate check-generate fuzz fuzz-parsers bench bench-formats bench-start bench-memory bench-peer bench-record size deps clean help

run: build model ## build, get the default model, start with a broker of its own, ask one question, stay up
	@$(BIN) demo --model $(MODEL)

build: ## build bin/siskin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./daemon/cmd/siskin

model: ## get the default model into models/ (98 MB, once)
	@sh model/fetch-default.sh models

test: ## all tests, natively
	$(GO) test -timeout 30m ./...

# What CI runs, in this order: quick things first, and last the tests, whose closing lines then end the output.
check: vet lint check-generate check-package fuzz-parsers test-purego test-race test-arm64 test ## everything that CI checks

fmt: $(LINT) ## format all Go files
	$(LINT) fmt ./...
	gofmt -w kernels_amd64/_asm kernels_arm64/_asm

# Per machine, because vet knows the assembly frames of one machine only; riscv64 stands for all without kernels, and so for what
# imports them: without assembly (purego) only the packages that have some are other ones.
vet: ## go vet for amd64, arm64 and riscv64, with and without assembly
	for arch in amd64 arm64 riscv64; do GOARCH=$$arch $(GO) vet ./... || exit 1; done
	for arch in amd64 arm64; do GOARCH=$$arch $(GO) vet -tags purego ./kernels_amd64 ./kernels_arm64 ./model/kernel || exit 1; done
	cd kernels_amd64/_asm && $(GO) vet ./...
	cd kernels_arm64/_asm && $(GO) vet ./...

lint: $(LINT) ## golangci-lint with .golangci.yml, and gofmt where it does not look
	test -z "$$(gofmt -l kernels_amd64/_asm kernels_arm64/_asm | tee /dev/stderr)"
	GOARCH=amd64 $(LINT) run ./...
	GOARCH=arm64 $(LINT) run ./kernels_arm64/... ./model/kernel/...

# Built from the version that .ci/tools.mod pins; the product's module graph does not know it.
$(LINT): .ci/tools.mod .ci/tools.sum
	$(GO) build -modfile=$(TOOLS) -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# Ten thousand prompts each: with faults, and at a steady rate. Minutes; a quiet machine for the second.
test-durable: ## prompts over a broker and a daemon that are killed again and again; the speed of acceptance
	SISKIN_TEST_PROMPTS=$(PROMPTS) $(GO) test -count=1 -timeout 60m -v -run 'TestNoPromptLost|TestAcceptLatency' ./daemon/cmd/siskin
	$(GO) test -count=1 -v -run 'TestTimeToFirstToken' ./daemon
PROMPTS ?= 10000

test-purego: ## tests of the packages with kernels, without assembly
	$(GO) test -tags purego ./model/quant ./model/kernel ./model/sample

# The packages with goroutines and locks; the forward pass is covered by the pool's own tests. Left out: two tests that compute on
# one goroutine, three minutes long here; "make test" runs them.
RACE := ./daemon/... ./mqtt/... ./systemd/... ./model/kernel ./model/mapfile ./model/sample ./model/tokenizer
test-race: ## tests under the race detector (needs a C compiler)
	@if command -v $${CC:-gcc} >/dev/null; then \
		CGO_ENABLED=1 $(GO) test -race -skip '^TestAttention$$|^TestSplitCodePoints$$' $(RACE); \
	elif [ "$$SISKIN_TEST_REQUIRE" = 1 ]; then \
		echo 'test-race: gcc is required: sudo apt install gcc libc6-dev' >&2; exit 1; \
	else \
		echo 'test-race: SKIPPED, there is no C compiler: sudo apt install gcc libc6-dev' >&2; \
	fi

# CPU=the kernel sets that it must offer, the best first. The whole model runs on the CPU with dotprod and neon, over a
# prefix of the reference texts, because emulation is a hundred times slower; and those texts on one with i8mm. Left out: what
# has nothing to do with the CPU, the bit-for-bit comparison of whole passes, minutes long here; the tests of the kernels make it for each product; and the
# accuracy of keys and values in 8 and 4 bits, about which the eight positions of a prefix say nothing; and what sequences do.
ARM64 := cortex-a53=neon cortex-a72=neon cortex-a76=dotprod,neon max=i8mm,dotprod,neon
test-arm64: export GOARCH := arm64
test-arm64: ## tests of the kernels on emulated arm64 CPUs (needs qemu-aarch64-static)
	@if ! command -v qemu-aarch64-static >/dev/null; then \
		if [ "$$SISKIN_TEST_REQUIRE" = 1 ]; then \
			echo 'test-arm64: qemu is required: sudo apt install qemu-user-static' >&2; exit 1; \
		fi; \
		echo 'test-arm64: SKIPPED, there is no qemu: sudo apt install qemu-user-static' >&2; exit 0; \
	fi; \
	for entry in $(ARM64); do \
		cpu=$${entry%%=*}; echo "# $$cpu"; \
		SISKIN_TEST_REQUIRE_KERNELS=$${entry#*=} $(GO) test -short -count=1 -exec "qemu-aarch64-static -cpu $$cpu" \
			./kernels_arm64 ./model/kernel || exit 1; \
	done; \
	SISKIN_TEST_TOKENS=128 $(GO) test -count=1 -timeout 15m -exec 'qemu-aarch64-static -cpu cortex-a76' \
		-skip '^TestFetch|^TestBatchingChangesNothing$$|^TestGoldenTextsInQ|^TestSequences$$|^TestStreaming$$|^TestAdapterSwap$$|^TestThousandTokens|^TestRecurrentPasses|^TestPopulate$$' \
		./model/quant ./model/sample ./model && \
	SISKIN_TEST_TOKENS=128 $(GO) test -count=1 -timeout 10m -exec 'qemu-aarch64-static -cpu max' -run '^TestGoldenTexts$$/^i8mm$$' ./model

generate: ## rebuild the generated assembly
	cd kernels_amd64/_asm && $(GO) run . ..
	cd kernels_arm64/_asm && $(GO) run . ..

check-generate: ## fail if the generated assembly is not what its generators write
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && cp --parents $(GENERATED) "$$tmp" && \
	$(MAKE) --no-print-directory generate && \
	for f in $(GENERATED); do \
		diff -u "$$tmp/$$f" "$$f" || { echo "check-generate: $$f is not what its generator writes; commit what make generate wrote" >&2; exit 1; }; \
	done

# The hand-written files for arm64 are there as well: the generator leaves them alone.
GENERATED = $(wildcard kernels_a*64/*.s kernels_a*64/stubs_a*64.go)

# What reads files from outside, for as long as CI has time; "make fuzz FUZZTIME=10m" is the thorough form. By executions, some 20 s
# each on two cores: an end by the clock is now and then reported as a failure, «context deadline exceeded» (golang/go#75804).
FUZZ := $(GO) test -run '^$$' -fuzzminimizetime 100x
fuzz-parsers: ## fuzz model files, tokenizers and templates for about 20 s each
	$(FUZZ) -fuzz '^FuzzParse$$' -fuzztime 150000x ./model/gguf
	$(FUZZ) -fuzz '^FuzzVocabulary$$' -fuzztime 200000x ./model/tokenizer
	$(FUZZ) -fuzz '^FuzzRender$$' -fuzztime 300000x ./model/chat/jinja

FUZZTIME ?= 30s
fuzz: ## every fuzz target for 30 s (FUZZTIME=...)
	@for pkg in $$($(GO) list ./...); do \
		dir=$${pkg#siskin}; \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' ".$$dir"/*_test.go 2>/dev/null | cut -c6-); do \
			echo "# $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s "$$pkg" || exit 1; \
		done; \
	done

bench: build ## speed of the kernels and of the default model, as shares of the machine's limits
	$(GO) test -run '^$$' -bench . -benchmem ./kernels_amd64 ./kernels_arm64 ./model/kernel ./model/sample
	$(BIN) bench --model $(MODEL) --roof --contend $$(nproc)

# The database of known vulnerabilities is the network's, unless VULNDB=file://FOLDER names a copy (https://go.dev/doc/security/vuln/database).
VULNDB ?= https://vuln.go.dev
vuln: ## known vulnerabilities in what the program is built from
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 -db $(VULNDB) ./daemon/cmd/siskin

SOAK ?= 30m
soak: ## the daemon among faults for SOAK: one answer each, flat memory, no unexplained warning
	SISKIN_SOAK=$(SOAK) SISKIN_TEST_REQUIRE=1 $(GO) test -count=1 -timeout 0 -v -run '^TestSoak$$' ./daemon/cmd/siskin

# Ten minutes a set. FORMAT_KERNELS=names with commas; "siskin check" lists them.
FORMAT_KERNELS ?= auto
bench-formats: ## whole models in every block format against the machine's limits, plain and packed, in one run
	SISKIN_BENCH_FORMATS=$(FORMAT_KERNELS) $(GO) test -count=1 -timeout 60m -v -run '^TestFormats$$' ./daemon/bench

bench-start: ## time from the start of the daemon to READY, and to the first token of a prompt of 16
	$(GO) test -run '^$$' -bench '^BenchmarkStart$$' -benchtime 10x ./daemon/cmd/siskin

bench-memory: ## the daemon inside memory control groups as large as its budget (root, cgroup v1 or v2)
	SISKIN_TEST_MEMORY=1 $(GO) test -count=1 -timeout 60m -v -run '^TestMemory|InBudget|^TestTooSmallBudget$$' ./daemon/cmd/siskin

# The peer is built from source in a virtual environment, once; nothing else needs it. PEER_MODELS=other files to compare on.
PEER := run/peer
PEER_FILE := run/peer-models/$(basename $(basename $(notdir $(MODEL))))
PEER_MODELS ?= $(MODEL) $(PEER_FILE).Q4_0.gguf $(PEER_FILE).Q8_0.gguf
PEER_FLAGS ?= --threads 2 --runs 5
bench-peer: build $(PEER)/version $(PEER_MODELS) ## siskin and llama.cpp on the same files, in turn, as ratios (builds it: C++ compiler, cmake)
	for m in $(PEER_MODELS); do $(BIN) model pack "$$m" || exit 1; done
	$(PEER)/bin/python daemon/doc/bench/peer.py compare $(PEER_FLAGS) --siskin $(BIN) --json run/peer.lines $(PEER_MODELS)

$(PEER)/version:
	sh daemon/doc/bench/peer-setup.sh $(PEER)

$(PEER_FILE).%.gguf: | $(PEER)/version
	mkdir -p $(@D) && $(PEER)/bin/python daemon/doc/bench/peer.py quantize $(MODEL) $(@D) $*

# The record keeps the comparison of the last bench-peer, if there is one.
RECORD ?= daemon/doc/bench/$(shell date +%Y-%m-%d)-$(shell uname -m)
BENCH_FLAGS ?= --kernels all --roof --contend $(shell nproc)
bench-record: build model ## measure everything, write daemon/doc/bench/DATE-MACHINE.json and draw it
	$(BIN) model pack $(MODEL)
	mkdir -p run && $(BIN) bench --model $(MODEL) --json $(BENCH_FLAGS) >run/bench.lines
	python3 daemon/doc/bench/record.py $(RECORD).json --peer run/peer.lines \
		--command '$(BIN) bench --model $(MODEL) --json $(BENCH_FLAGS)' <run/bench.lines

size: ## size of the stripped program for each machine
	@for arch in amd64 arm64; do \
		GOARCH=$$arch $(GO) build -trimpath -ldflags '-s -w' -o bin/siskin-$$arch ./daemon/cmd/siskin && \
		printf '%s\t%s bytes\n' "linux/$$arch" "$$(wc -c <bin/siskin-$$arch)"; \
	done

deps: ## rewrite daemon/doc/linked.txt: the outside packages in the program; its diff belongs into the review
	@$(GO) list -deps -f '{{if .Module}}{{if not .Module.Main}}{{.ImportPath}} {{.Module.Version}}{{end}}{{end}}' \
		./daemon/cmd/siskin | sort >daemon/doc/linked.txt
	@cat daemon/doc/linked.txt

.PHONY: release check-package test-package test-package-arm64
# Equal sources give equal files: all times are that of the commit. Needs Debian's dpkg-deb, python3 and Go.
PACKAGE_VERSION = $(shell .ci/package/version)
release: ## packages (.deb), archives, bills of materials and their checksums, for amd64 and arm64, in dist/
	rm -rf dist
	for arch in amd64 arm64; do .ci/package/build $$arch $(PACKAGE_VERSION) dist || exit 1; done
	cd dist && sha256sum * >SHA256SUMS && cat SHA256SUMS

check-package: ## the package of amd64, built twice with equal results, and what lintian says of it
	.ci/package/check

test-package: ## the package in a booted Debian, from installation to purge (root, systemd-container, mmdebstrap; about a minute)
	.ci/package/test-boot $(MODEL)

test-package-arm64: ## the program out of the arm64 package under qemu: version, doctor, one answer
	.ci/package/test-arm64 $(MODEL)

clean: ## remove what was built; the models stay
	rm -rf bin dist

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
