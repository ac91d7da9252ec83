"""Jobs of Kubernetes, by the KubeRay operator."""
