#!/bin/sh
# Entry of the image localhost/mirrord-agent:sandbox: our agent, run by the Node of the sandbox.
exec /usr/local/bin/node /agent.js "$@"
