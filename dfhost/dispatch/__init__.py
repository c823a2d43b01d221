"""What runs because of what the store holds: episodes, activities, entities and timers, each with a dispatcher."""
