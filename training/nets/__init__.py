"""The bundled models and their inputs."""
