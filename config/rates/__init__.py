"""The demo's second service: exchange rates, so that a trace has two services to cross."""
