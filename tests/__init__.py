"""The tests of llama-bridge: every law and every line of the contract is one."""
