# Every habit of the house. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
# Linters load the settings; they connect to nothing.
LINT_ENVIRONMENT := DEMO=1 DATABASE_URL=postgresql://lint@127.0.0.1/lint
# What production sets, for Django's own check of it.
DEPLOY_ENVIRONMENT := DJANGO_SECRET_KEY=$$(od -An -N 48 -tx1 /dev/urandom | tr -d ' \n') DEMO=0 DJANGO_DEBUG=0 \
	DATABASE_URL=postgresql://lint@127.0.0.1/lint DJANGO_ALLOWED_HOSTS=expenses.example DJANGO_HTTPS=1 \
	DJANGO_HSTS_SUBDOMAINS=1 DJANGO_HSTS_PRELOAD=1 OTEL_TRACES_EXPORTER=none PROMETHEUS_PORT=0
PROGRAMS := monitoring/tools/build.py

.DEFAULT_GOAL := help
.PHONY: help up dev down shell psql migrations status alerts silence logs clean venv tools images test \
	test-quick test-servers test-whole compose-test compose-drill test-pythons lint format traffic bench soak drill quiet doctor backup restore lock rules tables dashboards dashboards-preview \
	production-secrets
# Ports and folders given on the command line (make up API_PORT=8081) reach the programs.
export

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

up: venv ## run everything here; STACK=0 leaves the monitoring stack out
	@$(RUN) -m tools.local.up

dev: venv ## as make up, and the API restarts by itself when its code changes
	@$(RUN) -m tools.local.up --reload

down: venv ## stop a running `make up` from elsewhere
	@$(RUN) -m tools.local.down

shell: venv ## Django's shell on the database of make up
	@$(RUN) manage.py shell

psql: venv ## psql on the database of make up
	@$(RUN) manage.py dbshell

migrations: venv ## write the migrations of changed models; NAME=add_tags names them
	@$(RUN) manage.py makemigrations $(if $(NAME),--name $(NAME))

status: venv ## what runs, where, and whether it answers
	@$(RUN) -m tools.local.status

alerts: venv ## which alerts fire, since when, and whether they are silenced or inhibited
	@$(RUN) -m tools.alerts.show

silence: venv ## no notifications of an alert: make silence ALERT=HighErrorRate FOR=1h WHY="reason"; END=id ends it
	@$(RUN) -m tools.alerts.silence

logs: venv ## the log lines of one request: make logs ID=…
	@$(RUN) -m tools.local.logs "$(ID)"

clean: ## remove the local run's data, secrets and logs, and the virtual environment
	@$(PYTHON) -m tools.local.clean

venv: ## the virtual environment with the pinned requirements
	@$(PYTHON) tools/local/make_venv.py $(VENV)

tools: ## build Prometheus, Alertmanager, Jaeger, Caddy, actionlint and the compose plugin, once for this user; links in .local/bin
	@$(PYTHON) $(PROGRAMS) --link $${LOCAL_DIR:-.local}/bin

images: venv ## stand-ins for the pinned images, where no registry is (docs/containers.md)
	@$(RUN) -m tools.containers.images

test: venv ## lint, then all tests, quick ones first
	@$(RUN) -m tools.suite.run

test-quick: venv ## the tests that start no server
	@$(RUN) -m pytest -q -m "not servers and not e2e and not containers and not container_drills"

test-servers: venv ## the tests of real servers, without the monitoring stack
	@$(RUN) -m pytest -q -m "servers and not e2e and not containers and not container_drills"

test-whole: venv ## the tests of the whole system, which need the programs of make tools
	@$(RUN) -m pytest -q -m e2e

compose-test: venv ## the compose files on a container engine, its own where none answers
	@$(RUN) -m pytest -q -m containers

compose-drill: venv ## five faults that only containers show, each with its alert; some minutes
	@$(RUN) -m pytest -q -m container_drills

test-pythons: ## the tests on each supported Python of this machine
	@$(PYTHON) -m tools.suite.pythons

lint: venv ## format, lint, types, import directions, dashboards
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/ruff check --quiet .
	@$(LINT_ENVIRONMENT) $(VENV)/bin/lint-imports --no-cache > $(VENV)/lint-imports.txt || { cat $(VENV)/lint-imports.txt; exit 1; }
	@$(LINT_ENVIRONMENT) $(VENV)/bin/mypy
	@$(DEPLOY_ENVIRONMENT) $(RUN) -W ignore manage.py check --deploy --fail-level WARNING --no-color > $(VENV)/check.txt 2>&1 || { cat $(VENV)/check.txt; exit 1; }
	@$(RUN) -m monitoring.alerts.generate --check
	@$(RUN) -m monitoring.grafana.generate --check

format: venv ## let ruff put the code in order
	@$(VENV)/bin/ruff check --quiet --fix . ; $(VENV)/bin/ruff format --quiet .

traffic: venv ## send realistic requests to `make up` for DURATION=60 s at RATE=5; ERRORS=20 fails one in five
	@$(RUN) -m tools.local.traffic

drill: venv ## make each fault for real and see its alert; FAULT=name FACTOR=1 for one at full length
	@$(RUN) -m tools.drill.run

quiet: venv ## an hour of a healthy day, compressed: nothing critical may fire
	@$(RUN) -m tools.drill.quiet

doctor: venv ## is it up, and do series, exemplars, a trace, a log line and an alert arrive
	@$(RUN) -m tools.doctor

backup: venv ## copy what the running system keeps to backups/DATE, or to TO=folder
	@$(RUN) -m tools.backup.save

restore: venv ## bring a backup back: make restore FROM=folder; FORCE=1 where there is a state already
	@$(RUN) -m tools.backup.restore

bench: venv ## measure what telemetry costs: a request, a scrape, memory
	@$(RUN) -m benchmarks.request_cost
	@$(RUN) -m benchmarks.instructions
	@$(RUN) -m benchmarks.latency
	@$(RUN) -m benchmarks.scrape
	@$(RUN) -m benchmarks.memory

soak: venv ## 20,000 requests over dying workers counted in four places; memory over 200,000
	@SOAK_REQUESTS=20000 $(RUN) -m pytest -q -s tests/telemetry/test_totals.py
	@$(RUN) -m benchmarks.memory --requests 200000
	@$(RUN) -m benchmarks.memory --requests 200000 --server uvicorn

.PHONY: production-secrets
production-secrets: venv ## certificates, passwords and tokens of docker-compose.production.yml, once; ROTATE=1 anew
	@$(RUN) -m monitoring.production.make

lock: venv ## compile requirements/*.in anew; UPGRADE=1 takes the newest releases
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" requirements/lock.sh $(if $(UPGRADE),--upgrade)

rules: venv ## generate Prometheus' rules from the table of thresholds and objectives
	@$(RUN) -m monitoring.alerts.generate

tables: venv ## write the tables of the docs from the code
	@$(RUN) -m tools.docs.tables

dashboards: venv ## generate the Grafana dashboards
	@$(RUN) -m monitoring.grafana.generate

dashboards-preview: venv ## draw all dashboards from the running Prometheus, without Grafana; MINUTES=60 ENDPOINT=/api/v1/expenses/
	@$(RUN) -m monitoring.grafana.preview --minutes $${MINUTES:-15} --endpoint "$${ENDPOINT:-/api/v1/expenses/}" \
		--out $${LOCAL_DIR:-.local}/dashboards --prometheus http://127.0.0.1:$${PROMETHEUS_SERVER_PORT:-9090}
