"""What is needed to run muse-stream beside others: dashboards, rules, manifests. Not part of the installed package."""
