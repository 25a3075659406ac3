# Tasks of this repository. `make` alone lists them.

GO ?= go
# Checks that the linters are the same everywhere.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
TIMEOUT = 60m

.DEFAULT_GOAL := help
.PHONY: help build demo test lint bench tools browser clean

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/hapair, and beside it hapair-node for the hosts
	@$(GO) build -o bin/hapair ./cmd/hapair
	@for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -trimpath -ldflags '-s -w' -o bin/hapair-node-linux-$$arch ./cmd/hapair-node || exit 1; \
	done

demo: tools build ## a pair on two throw-away hosts, end to end: plan, apply, drills (needs root)
	@e2e/demo.sh

test: tools browser lint ## everything: lint, unit, golden, property, CLI scripts, then hosts in a lab (needs root)
	$(GO) test -timeout $(TIMEOUT) $$($(GO) list ./... | grep -v '/e2e$$')
	$(GO) test -count=1 -timeout $(TIMEOUT) ./e2e/...

lint: build ## gofmt, go vet, staticcheck, and shellcheck over all shell, rendered scripts included
	@unformatted=$$(gofmt -l cmd e2e plan remote templates); test -z "$$unformatted" || { echo "gofmt would change:" $$unformatted; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	shellcheck .ci/run e2e/*.sh e2e/testdata/*.sh
	shellcheck --shell=sh $$(find plan remote -name '*.sh' -not -path '*/testdata/*')
	@rm -rf bin/rendered
	@export HAPAIR_VAR_redis_password=any HAPAIR_VAR_redis_sha256=$$(printf %064d 0); \
	for spec in examples/*.hcl; do bin/hapair render --quiet -f $$spec --out bin/rendered/$$(basename $$spec .hcl) || exit 1; done
	shellcheck --external-sources $$(find bin/rendered -name pair.conf -printf '--source-path=%h ') $$(find bin/rendered -name '*.sh')

bench: tools build ## measure what the README promises (needs root; takes a while)
	$(GO) test -timeout $(TIMEOUT) -run '^$$' -bench . -benchtime 1x ./e2e/...

tools: ## install what lab and tests need on Debian (needs root)
	@remote/lab/install.sh

browser: ## install the browser that a test looks at reports with (needs root)
	@remote/lab/install.sh chromium

clean: ## remove what was built here; caches under ~/.cache/hapair stay
	rm -rf bin report
