"""Chest radiograph screening that shows what tells COVID-19 from other pneumonia."""
