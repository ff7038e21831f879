"""Tests of runner/inputs."""
