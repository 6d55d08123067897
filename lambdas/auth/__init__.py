"""Registration, sign-in, sessions and tokens: `/v1/auth`."""
