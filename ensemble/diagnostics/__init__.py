"""Effective sample sizes and nested R-hat without storing every sweep."""
