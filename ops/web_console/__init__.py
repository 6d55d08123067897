"""The web console: shows a running environment in a browser, on this machine only."""
