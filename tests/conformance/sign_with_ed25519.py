"""Plugin for the TUF conformance suite (`pytest -p sign_with_ed25519`): its simulated repositories sign with Ed25519.

The suite signs with ECDSA where a test does not say otherwise. Nothing else is changed.
"""

from tuf_conformance._internal.repository_simulator import RepositorySimulator

assert RepositorySimulator.new_signer.__defaults__ == ("ecdsa", "ecdsa-sha2-nistp256")
RepositorySimulator.new_signer.__defaults__ = ("ed25519", "ed25519")
